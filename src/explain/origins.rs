//! Origins: the shortest path from a workspace member to a package, or to the package that enables a feature.
//!
//! The package graph comes from `cargo metadata`, which runs for explanations only, never in a build.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use guppy::graph::feature::{FeatureGraph, FeatureId, FeatureLabel, FeatureSet};
use guppy::graph::{DependencyDirection, PackageGraph, PackageMetadata};

use crate::error::{Error, Result};

/// The packages of a workspace and all their dependencies.
pub struct Origins {
    graph: PackageGraph,
}

impl Origins {
    /// Parses the output of `cargo metadata`.
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
            // Cargo builds the dev-dependencies of members only.
            let links = links.filter(|link| link.from().in_workspace() || !link.dev_only());
            let mut ids: Vec<_> = links.map(|link| link.from().id()).collect();
            ids.sort();
            ids.into_iter().filter_map(|id| self.graph.metadata(id).ok()).collect()
        };
        let steps = shortest(target, |package| package.id(), dependents, PackageMetadata::in_workspace)?;
        Some(steps.iter().map(|package| package.name().to_owned()).collect())
    }

    /// The packages from the nearest workspace member to the package with this feature, as far as they enable the
    /// feature. `member/feature` means that a feature of the package enables it.
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
        let words = |id: FeatureId<'_>| {
            let package = self.graph.metadata(id.package_id()).ok()?.name();
            Some(match id.label() {
                // The text of the change has the feature that the path leads to.
                FeatureLabel::Named(feature) if id != start && feature != "default" => format!("{package}/{feature}"),
                _ => package.to_owned(),
            })
        };
        let mut path: Vec<_> = steps.into_iter().map(words).collect::<Option<_>>()?;
        path.dedup();
        Some(path)
    }
}

/// For each feature, the features of dependents that enable it.
type Links<'g> = BTreeMap<FeatureId<'g>, BTreeSet<FeatureId<'g>>>;

fn links<'g>(above: &FeatureSet<'g>) -> Links<'g> {
    let mut links = Links::new();
    for link in above.conditional_links(DependencyDirection::Reverse) {
        // Cargo builds the dev-dependencies of members only.
        if link.from().package().in_workspace() || !link.dev_only() {
            links.entry(link.to().feature_id()).or_default().insert(link.from().feature_id());
        }
    }
    links
}

/// The features of the same package that enable this one. The base of a package is no feature: every feature implies
/// it.
fn siblings<'g>(features: &FeatureGraph<'g>, above: &FeatureSet<'g>, id: FeatureId<'g>) -> Vec<FeatureId<'g>> {
    let own = above.features_for(id.package_id()).ok().flatten().into_iter().flatten();
    let enables = |other: &FeatureId<'g>| features.directly_depends_on(*other, id).unwrap_or(false);
    own.filter(|other| !id.is_base() && enables(other)).collect()
}

/// The shortest path to `target` from a node for which `is_first` holds.
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
