//! Where a host stands in the tree of blocks.

use std::rc::Rc;

use crate::book::{Block, Item, Task};

/// The part of a block that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Tasks,
    Rescue,
    Always,
}

/// A block that has begun.
#[derive(Clone)]
pub(crate) struct Frame {
    block: Rc<Block>,
    part: Part,
    at: usize,
    /// A failure that goes on outwards after `always`.
    failed: bool,
    /// These are handlers: only notified ones run.
    pub(crate) handlers: bool,
}

/// The blocks that a host is in, innermost last.
#[derive(Default, Clone)]
pub(crate) struct Frames(Vec<Frame>);

/// What a failure led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterFailure {
    /// A `rescue` takes over.
    Rescued,
    /// An `always` runs first; the failure goes on after it.
    Always,
    /// Nothing is left for the host.
    Out,
}

impl Frames {
    pub(crate) fn push(&mut self, block: Rc<Block>, handlers: bool) {
        self.0.push(Frame { block, part: Part::Tasks, at: 0, failed: false, handlers });
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn in_handlers(&self) -> bool {
        self.0.iter().any(|frame| frame.handlers)
    }

    /// Drops the innermost role's remaining tasks (`meta: end_role`).
    pub(crate) fn end_role(&mut self) {
        let at = self.0.iter().rposition(|frame| frame.block.within.role.is_some());
        if let Some(at) = at {
            self.0.truncate(at);
        }
    }

    /// The next task, without taking it. `wanted` says whether a task is to run at all.
    ///
    /// The flag tells that a failure came out of an `always` and found nothing: the host has failed.
    pub(crate) fn peek(
        &mut self,
        wanted: &mut dyn FnMut(&Rc<Task>, bool) -> bool,
    ) -> (Option<Rc<Task>>, bool) {
        loop {
            let Some(frame) = self.0.last_mut() else { return (None, false) };
            let list = match frame.part {
                Part::Tasks => &frame.block.tasks,
                Part::Rescue => &frame.block.rescue,
                Part::Always => &frame.block.always,
            };
            match list.get(frame.at) {
                Some(Item::Task(task)) => {
                    let task = Rc::clone(task);
                    if wanted(&task, frame.handlers) {
                        return (Some(task), false);
                    }
                    frame.at += 1;
                }
                Some(Item::Block(block)) => {
                    let block = Rc::clone(block);
                    let handlers = frame.handlers;
                    frame.at += 1;
                    self.push(block, handlers);
                }
                None => {
                    let has_always = !frame.block.always.is_empty();
                    if frame.part != Part::Always && has_always {
                        frame.part = Part::Always;
                        frame.at = 0;
                    } else {
                        let failed = frame.failed;
                        self.0.pop();
                        if failed && self.fail() == AfterFailure::Out {
                            return (None, true);
                        }
                    }
                }
            }
        }
    }

    /// Steps past the task that [`Self::peek`] showed.
    pub(crate) fn take(&mut self) {
        if let Some(frame) = self.0.last_mut() {
            frame.at += 1;
        }
    }

    /// A task failed: finds who takes over.
    pub(crate) fn fail(&mut self) -> AfterFailure {
        while let Some(frame) = self.0.last_mut() {
            match frame.part {
                Part::Tasks if !frame.block.rescue.is_empty() => {
                    frame.part = Part::Rescue;
                    frame.at = 0;
                    return AfterFailure::Rescued;
                }
                Part::Tasks | Part::Rescue if !frame.block.always.is_empty() => {
                    frame.part = Part::Always;
                    frame.at = 0;
                    frame.failed = true;
                    return AfterFailure::Always;
                }
                _ => {
                    self.0.pop();
                }
            }
        }
        AfterFailure::Out
    }

    /// Whether a failure now would be rescued, at once or after an `always`.
    pub(crate) fn would_rescue(&self) -> bool {
        for frame in self.0.iter().rev() {
            match frame.part {
                Part::Tasks if !frame.block.rescue.is_empty() => return true,
                _ => {}
            }
        }
        false
    }
}
