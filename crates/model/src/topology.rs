//! Which entity leans on which: the edges along which illness spreads.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::keep::Keep;
use crate::{EntityId, EntityKind};

/// How one entity relates to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationKind {
    /// A service runs on a host.
    RunsOn,
    /// A service needs another one to answer.
    DependsOn,
    /// A service keeps files below a mount point.
    Mounts,
    /// A service owns a file.
    Owns,
}

/// One directed edge: `from` leans on `to`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Relation {
    /// The entity that suffers when `to` is ill.
    pub from: EntityId,
    /// In which way.
    pub kind: RelationKind,
    /// The entity that is leaned on.
    pub to: EntityId,
}

/// A set of relations with the questions that diagnosis asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    relations: Vec<Relation>,
}

impl Topology {
    /// A topology from edges; order and doubles do not matter.
    #[must_use]
    pub fn new(relations: impl IntoIterator<Item = Relation>) -> Self {
        let set: BTreeSet<_> = relations.into_iter().collect();
        Self { relations: set.into_iter().collect() }
    }

    /// The edges that a keep file declares for one host.
    #[must_use]
    pub fn from_keep(keep: &Keep, host: &str) -> Self {
        let mut edges = Vec::new();
        for service in keep.services.values() {
            let from = EntityId::service(&service.name);
            let mut edge = |kind, to| edges.push(Relation { from: from.clone(), kind, to });
            edge(RelationKind::RunsOn, EntityId::host(host));
            for name in &service.depends_on {
                edge(RelationKind::DependsOn, EntityId::service(name));
            }
            for file in &service.files {
                edge(RelationKind::Owns, EntityId::new(EntityKind::File, file.path.to_string_lossy()));
            }
            for mountpoint in &service.uses {
                edge(RelationKind::Mounts, EntityId::filesystem(mountpoint));
            }
        }
        edges.extend(watched_edges(keep));
        Self::new(edges)
    }

    /// All edges, sorted.
    #[must_use]
    pub fn relations(&self) -> &[Relation] {
        &self.relations
    }

    /// Everything that `entity` leans on, near or far, with the number of steps. `entity` itself is not in it.
    #[must_use]
    pub fn leans_on(&self, entity: &EntityId) -> BTreeMap<EntityId, usize> {
        self.walk(entity, |r, at| (r.from == *at).then_some(&r.to))
    }

    /// Everything that leans on `entity`, near or far, with the number of steps. `entity` itself is not in it.
    #[must_use]
    pub fn dependants(&self, entity: &EntityId) -> BTreeMap<EntityId, usize> {
        self.walk(entity, |r, at| (r.to == *at).then_some(&r.from))
    }

    fn walk<'a>(
        &'a self,
        start: &EntityId,
        next: impl Fn(&'a Relation, &EntityId) -> Option<&'a EntityId>,
    ) -> BTreeMap<EntityId, usize> {
        let mut seen: BTreeMap<EntityId, usize> = BTreeMap::new();
        let mut todo = VecDeque::from([(start.clone(), 0)]);
        while let Some((at, steps)) = todo.pop_front() {
            for to in self.relations.iter().filter_map(|r| next(r, &at)) {
                if to != start && !seen.contains_key(to) {
                    seen.insert(to.clone(), steps + 1);
                    todo.push_back((to.clone(), steps + 1));
                }
            }
        }
        seen
    }
}

/// Services lean on the networks that carry them and on the services of others.
fn watched_edges(keep: &Keep) -> Vec<Relation> {
    let mut edges = Vec::new();
    let mut edge = |from, to| edges.push(Relation { from, kind: RelationKind::DependsOn, to });
    for network in keep.watched.networks.values() {
        let to = EntityId::new(EntityKind::Network, &network.name);
        network.carries.iter().for_each(|s| edge(EntityId::service(s), to.clone()));
    }
    for dependency in keep.watched.dependencies.values() {
        let to = EntityId::new(EntityKind::Dependency, &dependency.name);
        dependency.used_by.iter().for_each(|s| edge(EntityId::service(s), to.clone()));
    }
    for (service, cache) in &keep.watched.caches {
        let takers = cache.queues.values().filter_map(|q| q.consumer.as_ref());
        takers.for_each(|s| edge(EntityId::service(s), EntityId::service(service)));
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str) -> Relation {
        Relation { from: EntityId::service(from), kind: RelationKind::DependsOn, to: EntityId::service(to) }
    }

    #[test]
    fn far_dependencies_are_found_with_their_distance() {
        let t = Topology::new([edge("web", "app"), edge("app", "db")]);
        let got = t.leans_on(&EntityId::service("web"));
        assert_eq!(got[&EntityId::service("app")], 1);
        assert_eq!(got[&EntityId::service("db")], 2);
        assert_eq!(t.dependants(&EntityId::service("db")).len(), 2);
    }

    #[test]
    fn a_circle_ends() {
        let t = Topology::new([edge("a", "b"), edge("b", "a")]);
        assert_eq!(t.leans_on(&EntityId::service("a")).len(), 1);
    }
}
