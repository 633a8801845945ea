//! Orders that wait for others: begun when the one before has ended and those that they need have succeeded, refused
//! else.

use std::collections::{HashMap, VecDeque};

use super::protocol::Order;

/// How many ends are remembered, for orders that come after them.
const ENDS_MAX: usize = 4096;

/// What becomes of an order that has come.
#[derive(Debug, PartialEq)]
pub(super) enum Turn {
    /// Begin it.
    Now,
    /// It waits.
    Later,
    /// It is not to be begun.
    Never,
}

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// As it was wanted.
    Success,
    /// It was begun and failed.
    Failure,
    /// It was not begun.
    NotRun,
}

/// Who waits for whom, and how orders ended.
#[derive(Debug, Default)]
pub(super) struct Chain {
    running: HashMap<u64, Vec<(u64, Box<Order>)>>,
    ends: HashMap<u64, End>,
    oldest: VecDeque<u64>,
}

impl Chain {
    /// An order has come. One that names an order that was never seen is not begun.
    pub(super) fn come(&mut self, id: u64, order: &Order) -> Turn {
        if let Some(waiting) = order.after.and_then(|before| self.running.get_mut(&before)) {
            waiting.push((id, Box::new(order.clone())));
            self.running.insert(id, Vec::new());
            return Turn::Later;
        }
        if self.may_begin(order) {
            self.running.insert(id, Vec::new());
            return Turn::Now;
        }
        self.remember(id, End::NotRun);
        Turn::Never
    }

    /// Everything before it has ended: is it begun?
    fn may_begin(&self, order: &Order) -> bool {
        let was_begun = |before: u64| self.ends.get(&before).is_some_and(|end| *end != End::NotRun);
        order.after.is_none_or(was_begun)
            && order.needs.iter().all(|need| self.ends.get(need) == Some(&End::Success))
    }

    /// An order has ended. Gives those that begin now, and those that never will.
    pub(super) fn ended(&mut self, id: u64, end: End) -> (Vec<(u64, Box<Order>)>, Vec<u64>) {
        self.remember(id, end);
        let (mut begin, mut never) = (Vec::new(), Vec::new());
        let mut waiting = self.running.remove(&id).unwrap_or_default();
        while let Some((id, order)) = waiting.pop() {
            if self.may_begin(&order) {
                begin.push((id, order));
                continue;
            }
            never.push(id);
            self.remember(id, End::NotRun);
            waiting.extend(self.running.remove(&id).unwrap_or_default());
        }
        begin.sort_unstable_by_key(|(id, _)| *id);
        never.sort_unstable();
        (begin, never)
    }

    /// Nothing that waits is begun from now on.
    pub(super) fn close(&mut self) {
        self.running.values_mut().for_each(Vec::clear);
    }

    fn remember(&mut self, id: u64, end: End) {
        self.ends.insert(id, end);
        self.oldest.push_back(id);
        if self.oldest.len() > ENDS_MAX
            && let Some(old) = self.oldest.pop_front()
        {
            self.ends.remove(&old);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(before: u64, needs: &[u64]) -> Order {
        Order { after: Some(before), needs: needs.to_vec(), ..Order::default() }
    }

    fn ids(begin: &[(u64, Box<Order>)]) -> Vec<u64> {
        begin.iter().map(|(id, _)| *id).collect()
    }

    #[test]
    fn an_order_waits_for_the_one_before_and_falls_with_it() {
        let mut chain = Chain::default();
        assert_eq!(chain.come(1, &Order::default()), Turn::Now);
        assert_eq!(chain.come(2, &after(1, &[1])), Turn::Later);
        assert_eq!(chain.come(3, &after(2, &[2])), Turn::Later);
        let (begin, never) = chain.ended(1, End::Success);
        assert_eq!((ids(&begin), never), (vec![2], vec![]));
        assert_eq!(chain.come(4, &after(3, &[3])), Turn::Later);
        let (begin, never) = chain.ended(2, End::Failure);
        assert_eq!((begin.len(), never), (0, vec![3, 4]));
        assert_eq!(chain.come(5, &after(4, &[])), Turn::Never, "its order before was not begun");
        assert_eq!(chain.come(6, &after(1, &[1])), Turn::Now, "its end is remembered");
        assert_eq!(chain.come(7, &after(99, &[])), Turn::Never, "nobody has seen it");
    }

    #[test]
    fn an_order_that_needs_nothing_is_begun_after_a_failure_and_one_that_needs_all_is_not() {
        let mut chain = Chain::default();
        assert_eq!(chain.come(1, &Order::default()), Turn::Now);
        assert_eq!(chain.come(2, &after(1, &[])), Turn::Later);
        assert_eq!(chain.come(3, &after(2, &[1, 2])), Turn::Later);
        assert_eq!(chain.come(4, &after(3, &[])), Turn::Later);
        let (begin, never) = chain.ended(1, End::Failure);
        assert_eq!((ids(&begin), never), (vec![2], vec![]));
        let (begin, never) = chain.ended(2, End::Success);
        assert_eq!((ids(&begin), never), (vec![], vec![3, 4]));
    }
}
