//! Orders that wait for others: begun when the one before has succeeded, refused when it has not.

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

/// Who waits for whom, and how orders ended.
#[derive(Debug, Default)]
pub(super) struct Chain {
    running: HashMap<u64, Vec<(u64, Box<Order>)>>,
    ends: HashMap<u64, bool>,
    oldest: VecDeque<u64>,
}

impl Chain {
    /// An order has come. One that names an order that was never seen is not begun.
    pub(super) fn come(&mut self, id: u64, order: &Order) -> Turn {
        let turn = match order.after {
            None => Turn::Now,
            Some(before) => match (self.running.get_mut(&before), self.ends.get(&before)) {
                (Some(waiting), _) => {
                    waiting.push((id, Box::new(order.clone())));
                    Turn::Later
                }
                (None, Some(true)) => Turn::Now,
                (None, _) => Turn::Never,
            },
        };
        match turn {
            Turn::Never => self.remember(id, false),
            Turn::Now | Turn::Later => {
                self.running.insert(id, Vec::new());
            }
        }
        turn
    }

    /// An order has ended. Gives those that begin now, and those that never will.
    pub(super) fn ended(&mut self, id: u64, success: bool) -> (Vec<(u64, Box<Order>)>, Vec<u64>) {
        self.remember(id, success);
        let mut waiting = self.running.remove(&id).unwrap_or_default();
        if success {
            return (waiting, Vec::new());
        }
        let mut never = Vec::new();
        while let Some((id, _)) = waiting.pop() {
            never.push(id);
            self.remember(id, false);
            waiting.extend(self.running.remove(&id).unwrap_or_default());
        }
        never.sort_unstable();
        (Vec::new(), never)
    }

    /// Nothing that waits is begun from now on.
    pub(super) fn close(&mut self) {
        self.running.values_mut().for_each(Vec::clear);
    }

    fn remember(&mut self, id: u64, success: bool) {
        self.ends.insert(id, success);
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

    fn after(before: u64) -> Order {
        Order { after: Some(before), ..Order::default() }
    }

    #[test]
    fn an_order_waits_for_the_one_before_and_falls_with_it() {
        let mut chain = Chain::default();
        assert_eq!(chain.come(1, &Order::default()), Turn::Now);
        assert_eq!(chain.come(2, &after(1)), Turn::Later);
        assert_eq!(chain.come(3, &after(2)), Turn::Later);
        let (begin, never) = chain.ended(1, true);
        assert_eq!((begin.iter().map(|(id, _)| *id).collect::<Vec<_>>(), never), (vec![2], vec![]));
        assert_eq!(chain.come(4, &after(3)), Turn::Later);
        let (begin, never) = chain.ended(2, false);
        assert_eq!((begin.len(), never), (0, vec![3, 4]));
        assert_eq!(chain.come(5, &after(4)), Turn::Never);
        assert_eq!(chain.come(6, &after(1)), Turn::Now, "its end is remembered");
        assert_eq!(chain.come(7, &after(99)), Turn::Never, "nobody has seen it");
    }
}
