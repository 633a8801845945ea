//! Backups that are made and proven.

use super::*;

/// A backup that was missing was made; `outcome` is what came of its proof. The file is there afterwards.
fn backup_was_made(status: ActionStatus, outcome: &str) -> Play {
    use wellkept_model::keep::{Backup, Command};
    use wellkept_model::{EntityKind, FindingKind};
    let mut p = Play::new();
    let run = Command { argv: vec!["/bin/backup".to_owned()], within: Duration::from_secs(9) };
    let declared = Backup {
        name: "nightly".to_owned(),
        glob: "/b/*".to_owned(),
        min_size: 1,
        max_age: None,
        log: None,
        run: Some(run.clone()),
        test: Some(run),
        keep_old: None,
        credential: None,
        every: Duration::from_secs(60),
        may: vec![ActionKind::RunBackup],
    };
    p.keep.watched.backups.insert("nightly".to_owned(), declared);
    let mut unusable = finding("a", FindingKind::BackupUnusable);
    unusable.key.entity = EntityId::new(EntityKind::Backup, "nightly");
    let mut missing = cause("a", CauseKind::BackupMissing, 0.95);
    (missing.entity, missing.explains) = (unusable.key.entity.clone(), vec![unusable.key.clone()]);
    (p.active, p.causes) = (vec![unusable], vec![missing]);
    let step = p.second().unwrap();
    assert_eq!(step.planned.kind, ActionKind::RunBackup);
    p.book.handle_result(p.now, &step, StepResult { status, outcome: Text::new(outcome), undo: None });
    p.active.clear();
    p
}

#[test]
fn a_backup_that_cannot_be_restored_goes_to_a_person_although_its_file_is_there() {
    let mut p = backup_was_made(ActionStatus::Failed, "outcome.backup_not_restored");
    (0..60).for_each(|_| assert_eq!(p.second(), None));
    assert_eq!(p.status(), IncidentStatus::Escalated);
    let calls = |p: &Play| {
        let actions = &p.book.incidents().next().unwrap().actions;
        actions.iter().filter(|a| a.planned.reason.key == "escalate.backup_unproven").count()
    };
    assert_eq!(calls(&p), 1, "one call, not one a second");
    let stored = p.book.take_changed();
    p.book = Book::restore(stored, 0, p.now);
    (0..60).for_each(|_| assert_eq!(p.second(), None));
    assert_eq!((p.status(), calls(&p)), (IncidentStatus::Escalated, 1), "also after a restart");
    let id = p.book.incidents().next().unwrap().id;
    p.book.take_over(p.now, id).unwrap();
    (0..10).for_each(|_| drop(p.second()));
    assert_eq!(p.status(), IncidentStatus::Resolved, "the person knows");
}

#[test]
fn a_backup_that_was_proven_needs_nobody() {
    let mut p = backup_was_made(ActionStatus::Succeeded, "outcome.backup_proven");
    (0..10).for_each(|_| drop(p.second()));
    assert_eq!(p.status(), IncidentStatus::Resolved);
    let mut p = backup_was_made(ActionStatus::Failed, "outcome.ended");
    (0..10).for_each(|_| drop(p.second()));
    assert_eq!(p.status(), IncidentStatus::Resolved, "somebody else made one, and it is as good as any");
}
