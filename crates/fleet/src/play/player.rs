//! The loop: asks the run what is next, has it done, tells it what became of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use wellkept_inventory::Value;
use wellkept_playbook::book::Prompt;
use wellkept_playbook::run::{Next, Outcome, Run, Work, WorkId};

use super::assign::Assigner;
use super::hands::Hands;
use crate::journal::{Journal, Step};

/// How many answers wait for the run.
const ANSWERS_MAX: usize = 256;
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
}

impl Player<'_> {
    /// To the end.
    ///
    /// # Errors
    /// A step that cannot be written down is not begun.
    pub async fn play(&mut self) -> std::io::Result<Ended> {
        let (answers, mut inbox) = mpsc::channel(ANSWERS_MAX);
        let mut on_the_way: HashMap<WorkId, Step> = HashMap::new();
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
                    for work in all {
                        self.begin(&work, &answers, &mut on_the_way)?;
                    }
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
            if let Ok(Some((id, outcome))) = arrived {
                self.end(id, outcome, &mut on_the_way)?;
                // Others that came meanwhile are taken in the same breath.
                while let Ok((id, outcome)) = inbox.try_recv() {
                    self.end(id, outcome, &mut on_the_way)?;
                }
            }
        }
    }

    fn tell(&mut self) {
        for line in self.run.output() {
            (self.say)(&line);
        }
    }

    fn begin(
        &mut self,
        work: &Work,
        answers: &mpsc::Sender<(WorkId, Outcome)>,
        on_the_way: &mut HashMap<WorkId, Step>,
    ) -> std::io::Result<()> {
        if let Some(journal) = &mut self.journal {
            let step = journal.step(work);
            if let Some(known) = journal.known(&step) {
                self.run.handle((self.now_ms)(), work.id, known);
                return Ok(());
            }
            journal.begin(&step)?;
            on_the_way.insert(work.id, step);
        }
        match self.assigner.assign(work) {
            Err(outcome) => self.end(work.id, outcome, on_the_way),
            Ok(assignment) => {
                let (hands, answers) = (Arc::clone(&self.hands), answers.clone());
                tokio::spawn(async move {
                    let outcome = hands.perform(&assignment).await;
                    // A run that is over wants no answers.
                    let _ = answers.send((assignment.id, outcome)).await;
                });
                Ok(())
            }
        }
    }

    fn end(
        &mut self,
        id: WorkId,
        outcome: Outcome,
        on_the_way: &mut HashMap<WorkId, Step>,
    ) -> std::io::Result<()> {
        if let (Some(journal), Some(step)) = (&mut self.journal, on_the_way.remove(&id)) {
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
