//! Who brings a package in, and who enables a feature: the shortest path from a workspace member.
//!
//! The package graph comes from `cargo metadata`, which is asked for an explanation and never for a build.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use guppy::graph::feature::{FeatureGraph, FeatureId, FeatureLabel, FeatureSet};
use guppy::graph::{DependencyDirection, PackageGraph, PackageMetadata};

use crate::error::{Error, Result};

/// The packages of a workspace and of all that it depends on.
pub struct Origins {
    graph: PackageGraph,
}

impl Origins {
    /// From what `cargo metadata` prints.
    pub fn parse(json: &str) -> Result<Self> {
        let graph = PackageGraph::from_json(json);
        let unusable =
            |error: guppy::Error| Error::Command { command: "cargo metadata".into(), reason: error.to_string() };
        Ok(Self { graph: graph.map_err(unusable)? })
    }

    fn package(&self, name: &str, version: &str) -> Option<PackageMetadata<'_>> {
        let mut packages = self.graph.packages();
        packages.find(|package| package.name() == name && package.version().to_string() == version)
    }

    /// The names of the packages from the nearest workspace member to this one.
    pub fn path(&self, name: &str, version: &str) -> Option<Vec<String>> {
        let target = self.package(name, version)?;
        let dependents = |package: PackageMetadata<'_>| {
            let links = package.reverse_direct_links();
            // Only members have their dev-dependencies built.
            let links = links.filter(|link| link.from().in_workspace() || !link.dev_only());
            let dependents = links.map(|link| link.from().id());
            let mut ids: Vec<_> = dependents.collect();
            ids.sort();
            ids.into_iter().filter_map(|id| self.graph.metadata(id).ok()).collect()
        };
        let steps = shortest(target, |package| package.id(), dependents, PackageMetadata::in_workspace)?;
        Some(steps.iter().map(|package| package.name().to_owned()).collect())
    }

    /// Who enables a feature: the packages from the nearest workspace member to this one, each with the feature by which
    /// it does, as in `member/feature`, where it is not by itself.
    pub fn feature<'a>(&'a self, name: &str, version: &str, feature: &'a str) -> Option<Vec<String>> {
        let target = self.package(name, version)?;
        let features = self.graph.feature_graph();
        let start = FeatureId::new(target.id(), FeatureLabel::Named(feature));
        let above = features.query_reverse([start]).ok()?.resolve();
        let is_member = |id: FeatureId<'_>| {
            let package = self.graph.metadata(id.package_id());
            id != start && package.is_ok_and(|package| package.in_workspace())
        };
        let links = links(&above);
        let enabling = |id: FeatureId<'a>| {
            let of_dependents = links.get(&id).into_iter().flatten().copied();
            of_dependents.chain(siblings(&features, &above, id)).collect()
        };
        let steps = shortest(start, |id| *id, enabling, |id| is_member(*id))?;
        let mut path: Vec<String> = Vec::new();
        for id in steps {
            let package = self.graph.metadata(id.package_id()).ok()?;
            match id.label() {
                // The feature in question is named already.
                _ if id == start => path.push(package.name().to_owned()),
                FeatureLabel::Named(feature) if feature != "default" => {
                    path.push(format!("{}/{feature}", package.name()))
                }
                _ => path.push(package.name().to_owned()),
            }
        }
        path.dedup();
        Some(path)
    }
}

/// What enables what, between packages: the features of dependents by the feature they enable.
type Links<'g> = BTreeMap<FeatureId<'g>, BTreeSet<FeatureId<'g>>>;

fn links<'g>(above: &FeatureSet<'g>) -> Links<'g> {
    let mut links = Links::new();
    for link in above.conditional_links(DependencyDirection::Reverse) {
        // Only members have their dev-dependencies built.
        if link.from().package().in_workspace() || !link.dev_only() {
            links.entry(link.to().feature_id()).or_default().insert(link.from().feature_id());
        }
    }
    links
}

/// The features of the same package that enable this one. Every feature has its package built, which enables nothing.
fn siblings<'g>(features: &FeatureGraph<'g>, above: &FeatureSet<'g>, id: FeatureId<'g>) -> Vec<FeatureId<'g>> {
    let own = above.features_for(id.package_id()).ok().flatten().into_iter().flatten();
    let enables = |other: &FeatureId<'g>| features.directly_depends_on(*other, id).unwrap_or(false);
    own.filter(|other| !id.is_base() && enables(other)).collect()
}

/// The shortest way back from `target` to something that is `first`, in the order from there.
fn shortest<T: Copy, K: Ord>(
    target: T,
    key: impl Fn(&T) -> K,
    before: impl Fn(T) -> Vec<T>,
    is_first: impl Fn(&T) -> bool,
) -> Option<Vec<T>> {
    let mut seen = BTreeSet::from([key(&target)]);
    let mut open = VecDeque::from([vec![target]]);
    while let Some(path) = open.pop_front() {
        let last = *path.last()?;
        if is_first(&last) {
            return Some(path.into_iter().rev().collect());
        }
        for next in before(last) {
            if seen.insert(key(&next)) {
                open.push_back(path.iter().copied().chain([next]).collect());
            }
        }
    }
    None
}

#[cfg(test)]
#[path = "origins_tests.rs"]
mod tests;
