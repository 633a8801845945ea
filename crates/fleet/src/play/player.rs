//! The loop: asks the run what is next, has it done, tells it what became of it.
//!
//! What the run promises is sent to the helper together with what stands before it, so that a line that is far away costs
//! one round trip for many tasks. The order of everything that people see stays that of the run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use wellkept_inventory::Value;
use wellkept_playbook::book::Prompt;
use wellkept_playbook::run::{Next, Outcome, Run, Work, WorkId};

use super::assign::{Assigner, Assignment};
use super::hands::{Answer, Following, Hands};
use crate::journal::{Journal, Step};
use crate::reach::Reach;

/// How many answers wait for the run.
const ANSWERS_MAX: usize = 256;
/// How many pieces of work are sent ahead of their turn.
const AHEAD_MAX: usize = 64;
/// The longest wait between two looks at the clock.
const LOOK: Duration = Duration::from_secs(3600);

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With this exit code.
    Done(u8),
    /// A person broke it off.
    Interrupted,
}

/// Work that was sent ahead of its turn.
struct Early {
    assignment: Assignment,
    step: Option<Step>,
    /// The run has handed it out.
    wanted: bool,
    answer: Option<Answer>,
}

/// Work that was handed out, with what was made of it and what follows it.
type Fresh = (WorkId, Result<Assignment, Outcome>, Vec<Following>);

/// What is on its way.
struct Line {
    answers: mpsc::Sender<(WorkId, Answer)>,
    steps: HashMap<WorkId, Step>,
    early: HashMap<WorkId, Early>,
}

/// A run with everything that it is done with.
pub struct Player<'a> {
    /// What is next.
    pub run: Run,
    /// Makes assignments of work.
    pub assigner: Assigner,
    /// Does them.
    pub hands: Arc<Hands>,
    /// Where steps are written down, when they are.
    pub journal: Option<Journal>,
    /// Milliseconds since the epoch.
    pub now_ms: &'a dyn Fn() -> i64,
    /// Takes lines for people.
    pub say: &'a mut dyn FnMut(&str),
    /// Hears of each step that is about to begin; one that it refuses is not begun.
    pub before: &'a mut dyn FnMut(&Work, &Reach) -> std::io::Result<()>,
}

impl Player<'_> {
    /// To the end.
    ///
    /// # Errors
    /// A step that cannot be written down is not begun.
    pub async fn play(&mut self) -> std::io::Result<Ended> {
        let (answers, mut inbox) = mpsc::channel(ANSWERS_MAX);
        let mut line = Line { answers, steps: HashMap::new(), early: HashMap::new() };
        loop {
            let next = self.run.poll((self.now_ms)());
            self.tell();
            let wait = match next {
                Next::Done(code) => {
                    self.hands.close().await;
                    return Ok(Ended::Done(code));
                }
                Next::Ask(prompt) => {
                    let answer = self.ask(&prompt).await;
                    self.run.answer(answer);
                    continue;
                }
                Next::Work(all) => {
                    self.begin(&all, &mut line)?;
                    continue;
                }
                Next::Wait => LOOK,
                Next::Until(due) => {
                    Duration::from_millis(u64::try_from(due - (self.now_ms)()).unwrap_or(0)).min(LOOK)
                }
            };
            let arrived = tokio::select! {
                arrived = timeout(wait, inbox.recv()) => arrived,
                _ = tokio::signal::ctrl_c() => {
                    (self.say)(" [ERROR]: User interrupted execution");
                    self.hands.close().await;
                    return Ok(Ended::Interrupted);
                }
            };
            if let Ok(Some((id, answer))) = arrived {
                self.arrived(id, answer, &mut line)?;
                // Others that came meanwhile are taken in the same breath.
                while let Ok((id, answer)) = inbox.try_recv() {
                    self.arrived(id, answer, &mut line)?;
                }
            }
        }
    }

    fn tell(&mut self) {
        for line in self.run.output() {
            (self.say)(&line);
        }
    }

    /// Begins everything that was handed out: written down together, then sent.
    fn begin(&mut self, all: &[Work], line: &mut Line) -> std::io::Result<()> {
        self.void(line)?;
        let mut fresh = Vec::new();
        for work in all {
            if let Some(early) = line.early.get_mut(&work.id) {
                early.wanted = true;
                if let Some(answer) = early.answer.take() {
                    self.arrived(work.id, answer, line)?;
                }
                continue;
            }
            if let Some(journal) = &mut self.journal {
                let step = journal.step(work);
                if let Some(known) = journal.known(&step) {
                    self.run.handle((self.now_ms)(), work.id, known);
                    continue;
                }
                line.steps.insert(work.id, step);
            }
            let assigned = self.assigner.assign(work);
            if let Ok(assignment) = &assigned {
                (self.before)(work, &assignment.reach)?;
            }
            let rest = match &assigned {
                Ok(assignment) => self.follow(work, assignment, line)?,
                Err(_) => Vec::new(),
            };
            fresh.push((work.id, assigned, rest));
        }
        self.write_down(&fresh, line)?;
        for (id, assigned, rest) in fresh {
            match assigned {
                Err(outcome) => self.end(id, outcome, line)?,
                Ok(assignment) => self.send(assignment, rest, line),
            }
        }
        Ok(())
    }

    /// Steps are on disk before they begin.
    fn write_down(&mut self, fresh: &[Fresh], line: &Line) -> std::io::Result<()> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        let early = |id: &WorkId| line.early.get(id).and_then(|early| early.step.as_ref());
        let steps = fresh.iter().flat_map(|(id, _, rest)| {
            let rest = rest.iter().filter_map(|following| early(&following.assignment.id));
            line.steps.get(id).into_iter().chain(rest)
        });
        journal.begin(steps)
    }

    /// What was sent ahead and is not handed out any more, because something before it did not succeed: it was not run.
    fn void(&mut self, line: &mut Line) -> std::io::Result<()> {
        let mut void = self.run.take_void();
        // The last one first: their numbers are given again.
        void.sort_unstable_by(|a, b| b.cmp(a));
        for id in void {
            let step = line.early.remove(&id).and_then(|early| early.step);
            if let (Some(journal), Some(step)) = (&mut self.journal, step) {
                journal.void(&step)?;
            }
        }
        Ok(())
    }

    /// What can be sent together with an assignment.
    fn follow(
        &mut self,
        work: &Work,
        first: &Assignment,
        line: &mut Line,
    ) -> std::io::Result<Vec<Following>> {
        if !self.hands.can_follow(first) || self.journal.as_ref().is_some_and(Journal::is_replaying) {
            return Ok(Vec::new());
        }
        let user = |one: &Assignment| one.who.as_ref().map(|who| (who.method, who.user.clone()));
        let (assigner, hands) = (&self.assigner, &self.hands);
        let found = self.run.ahead(&work.host, AHEAD_MAX, &mut |next| {
            let next = assigner.assign(next).ok()?;
            let same = next.reach.key() == first.reach.key() && user(&next) == user(first);
            (same && hands.can_follow(&next)).then_some(next)
        });
        let mut all = Vec::new();
        for next in found {
            (self.before)(&next.work, &next.made.reach)?;
            let step = self.journal.as_mut().map(|journal| journal.step(&next.work));
            let early = Early { assignment: next.made.clone(), step, wanted: false, answer: None };
            line.early.insert(next.work.id, early);
            all.push(Following { assignment: next.made, needs: next.needs });
        }
        Ok(all)
    }

    fn send(&self, first: Assignment, rest: Vec<Following>, line: &Line) {
        let (hands, answers) = (Arc::clone(&self.hands), line.answers.clone());
        tokio::spawn(async move {
            if rest.is_empty() {
                let answer = Answer::Outcome(hands.perform(&first).await);
                // A run that is over wants no answers.
                let _ = answers.send((first.id, answer)).await;
            } else {
                hands.chain(&first, &rest, &answers).await;
            }
        });
    }

    fn arrived(&mut self, id: WorkId, answer: Answer, line: &mut Line) -> std::io::Result<()> {
        if let Some(early) = line.early.get_mut(&id) {
            if !early.wanted {
                self.run.settle(id);
                // What is known is written down at once, also before its turn.
                if let (Some(journal), Some(step), Answer::Outcome(outcome)) =
                    (&mut self.journal, &early.step, &answer)
                {
                    journal.end(step, outcome)?;
                    early.step = None;
                }
                early.answer = Some(answer);
                return Ok(());
            }
            let Some(early) = line.early.remove(&id) else { return Ok(()) };
            line.steps.extend(early.step.map(|step| (id, step)));
            if answer == Answer::NotRun {
                self.send(early.assignment, Vec::new(), line);
                return Ok(());
            }
        }
        match answer {
            Answer::Outcome(outcome) => self.end(id, outcome, line),
            Answer::NotRun => Ok(()),
        }
    }

    fn end(&mut self, id: WorkId, outcome: Outcome, line: &mut Line) -> std::io::Result<()> {
        if let (Some(journal), Some(step)) = (&mut self.journal, line.steps.remove(&id)) {
            journal.end(&step, &outcome)?;
        }
        self.run.handle((self.now_ms)(), id, outcome);
        Ok(())
    }

    async fn ask(&self, prompt: &Prompt) -> Value {
        let (desk, asked) = (Arc::clone(&self.hands.desk), prompt.clone());
        let default = prompt.default.as_ref().map(crate::values::key_text);
        let shown = default.as_ref().map(|default| format!(" [{default}]")).unwrap_or_default();
        let answer = tokio::task::spawn_blocking(move || {
            let one = |question: &str| match asked.private {
                true => desk.secret(question).map(|answer| answer.to_string()),
                false => desk.line(question),
            };
            loop {
                let answer = one(&format!("{}{shown}: ", asked.prompt))?;
                if !asked.confirm || one(&format!("confirm {}{shown}: ", asked.prompt))? == answer {
                    return Some(answer);
                }
            }
        });
        let answer = answer.await.ok().flatten().filter(|answer| !answer.is_empty());
        Value::Unsafe(answer.or(default).unwrap_or_default())
    }
}
