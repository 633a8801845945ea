//! Which hosts in which batch.

use wellkept_model::keep::BatchSize;

/// Cuts the hosts into batches: the sizes one after the other, the last one again and again. A share is one of all
/// hosts and at least one host.
pub(crate) fn batches(hosts: &[String], sizes: &[BatchSize]) -> Vec<Vec<String>> {
    let mut batches = Vec::new();
    let (mut rest, mut sizes, mut size) = (hosts, sizes.iter(), hosts.len());
    while !rest.is_empty() {
        size = match sizes.next() {
            None => size,
            Some(BatchSize::Hosts(size)) => *size as usize,
            Some(BatchSize::Percent(share)) => hosts.len() * usize::from(*share) / 100,
        };
        let (batch, later) = rest.split_at(size.max(1).min(rest.len()));
        batches.push(batch.to_vec());
        rest = later;
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_comes_first_and_every_host_once() {
        let hosts: Vec<String> = (0..10).map(|n| format!("h{n}")).collect();
        let sizes = |sizes: &[BatchSize]| batches(&hosts, sizes).iter().map(Vec::len).collect::<Vec<_>>();
        let (one, quarter, all) = (BatchSize::Hosts(1), BatchSize::Percent(25), BatchSize::Percent(100));
        assert_eq!(sizes(&[one, quarter, all]), [1, 2, 7]);
        assert_eq!(sizes(&[one, BatchSize::Hosts(4)]), [1, 4, 4, 1]);
        assert_eq!(sizes(&[BatchSize::Percent(1)]), [1; 10]);
        assert_eq!(sizes(&[]), [10]);
        assert_eq!(batches(&hosts, &[one, all]).concat(), hosts);
        assert!(batches(&[], &[one]).is_empty());
    }
}
