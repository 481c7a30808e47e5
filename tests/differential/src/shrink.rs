//! Shrinks a script as long as its last step shows the same kind of difference.
//!
//! Each trial is a walk from scratch, with new directories and an empty store. [`PASSES`] go from coarse to fine. Any
//! state can be rendered, so the remaining script can always be walked.

use std::time::Instant;

use crate::compare::DifferenceKind;
use crate::model::{Circumstances, Package, State};
use crate::script::{Command, Edit, Script, Step};

/// Returns a smaller script without the `n`th thing of some kind. `Err` if there is no such thing any more, `Ok(None)`
/// if it cannot be removed.
type Pass = fn(&Script, usize) -> Result<Option<Script>, End>;

struct End;

const PASSES: &[Pass] = &[
    half_of_the_steps,
    step,
    merged_step,
    package,
    added_package,
    edit,
    parts,
    part,
    need,
    target,
    flag,
    circumstances,
    command,
];

/// Shrinks a script until nothing more can be removed, or the time is over. `differs` walks a script.
pub(crate) fn shrink(
    script: &Script,
    kind: DifferenceKind,
    until: Instant,
    differs: &dyn Fn(&Script) -> Option<DifferenceKind>,
) -> Script {
    let mut smallest = script.clone();
    loop {
        let before = smallest.clone();
        for pass in PASSES {
            smallest = exhaust(smallest, *pass, &|script| Instant::now() < until && differs(script) == Some(kind));
        }
        if before == smallest || Instant::now() >= until {
            return smallest;
        }
    }
}

fn exhaust(mut script: Script, pass: Pass, is_good: &dyn Fn(&Script) -> bool) -> Script {
    let mut n = 0;
    while let Ok(candidate) = pass(&script, n) {
        match candidate.filter(|candidate| *candidate != script && is_good(candidate)) {
            Some(smaller) => script = smaller,
            None => n += 1,
        }
    }
    script
}

/// Removes pieces of the steps before the last one: halves, quarters, eighths.
fn half_of_the_steps(script: &Script, n: usize) -> Result<Option<Script>, End> {
    let level = usize::BITS - (n + 1).leading_zeros();
    if level > 3 {
        return Err(End);
    }
    let (pieces, piece) = (1 << level, n + 1 - (1 << (level - 1)));
    let before = script.steps.len() - 1;
    let length = before / pieces;
    let mut smaller = script.clone();
    let start = (piece * length).min(before);
    smaller.steps.drain(start..(start + length).min(before));
    Ok((length > 1).then_some(smaller))
}

fn step(script: &Script, n: usize) -> Result<Option<Script>, End> {
    changed(script, |script| {
        (n + 1 < script.steps.len()).then(|| drop(script.steps.remove(n))).ok_or(End)?;
        Ok(true)
    })
}

/// Removes the command of a step: the next step takes over its edits.
fn merged_step(script: &Script, n: usize) -> Result<Option<Script>, End> {
    changed(script, |script| {
        (n + 1 < script.steps.len()).then_some(()).ok_or(End)?;
        let Step { edits, .. } = script.steps.remove(n);
        script.steps[n].edits.splice(0..0, edits);
        Ok(true)
    })
}

fn package(script: &Script, n: usize) -> Result<Option<Script>, End> {
    changed(script, |script| {
        nth(&mut script.start.packages, n)?;
        script.start.packages.remove(n);
        Ok(script.start.members().next().is_some())
    })
}

/// Removes parts of a package that a step adds.
fn added_package(script: &Script, n: usize) -> Result<Option<Script>, End> {
    changed(script, |script| {
        let added = script.steps.iter_mut().flat_map(|step| &mut step.edits).filter_map(|edit| match edit {
            Edit::Add(package) => Some(package),
            _ => None,
        });
        added.flat_map(|package| package.parts.pop()).nth(n).map(|_| true).ok_or(End)
    })
}

fn edit(script: &Script, n: usize) -> Result<Option<Script>, End> {
    changed(script, |script| {
        let mut left = n;
        for step in &mut script.steps {
            if left < step.edits.len() {
                step.edits.remove(left);
                return Ok(true);
            }
            left -= step.edits.len();
        }
        Err(End)
    })
}

/// Removes all parts of a package.
fn parts(script: &Script, n: usize) -> Result<Option<Script>, End> {
    changed(script, |script| {
        nth(&mut script.start.packages, n)?.parts.clear();
        Ok(true)
    })
}

fn part(script: &Script, n: usize) -> Result<Option<Script>, End> {
    of_packages(script, n, |package| &mut package.parts)
}

fn need(script: &Script, n: usize) -> Result<Option<Script>, End> {
    of_packages(script, n, |package| &mut package.needs)
}

fn of_packages<T>(script: &Script, n: usize, list: fn(&mut Package) -> &mut Vec<T>) -> Result<Option<Script>, End> {
    changed(script, |script| {
        let mut left = n;
        for package in &mut script.start.packages {
            let list = list(package);
            if left < list.len() {
                list.remove(left);
                return Ok(true);
            }
            left -= list.len();
        }
        Err(End)
    })
}

fn target(script: &Script, n: usize) -> Result<Option<Script>, End> {
    changed(script, |script| {
        let mut all = script.start.packages.iter_mut().flat_map(|package| {
            let targets: Vec<_> = package.targets.iter().copied().collect();
            targets.into_iter().map(|target| (package.name.clone(), target)).collect::<Vec<_>>()
        });
        let (name, target) = all.nth(n).ok_or(End)?;
        drop(all);
        Ok(script.start.package_mut(&name).is_some_and(|package| package.targets.remove(&target)))
    })
}

/// Resets the flags of a package.
fn flag(script: &Script, n: usize) -> Result<Option<Script>, End> {
    changed(script, |script| {
        let package = nth(&mut script.start.packages, n / 4)?;
        match n % 4 {
            0 => package.links = false,
            1 => package.description = 0,
            2 => package.renamed = 0,
            _ => package.needs.iter_mut().for_each(|need| need.loud = false),
        }
        Ok(true)
    })
}

/// Resets circumstances at the start of a script.
fn circumstances(script: &Script, n: usize) -> Result<Option<Script>, End> {
    changed(script, |script| {
        let State { circumstances, .. } = &mut script.start;
        match n {
            0 => *circumstances = Circumstances::default(),
            1 => circumstances.git = false,
            2 => circumstances.checkout = 0,
            3 => circumstances.profiles.clear(),
            4 => circumstances.searched.clear(),
            5 => circumstances.front = 0,
            6 => circumstances.flagged = false,
            7 => circumstances.object = None,
            _ => return Err(End),
        }
        Ok(true)
    })
}

/// Simplifies a command, in the steps and in events.
fn command(script: &Script, n: usize) -> Result<Option<Script>, End> {
    changed(script, |script| {
        let mut commands = script.steps.iter_mut().flat_map(commands);
        let command = commands.nth(n / 6).ok_or(End)?;
        match n % 6 {
            0 => *command = Command::new(command.verb),
            1 => command.profile = None,
            2 => command.packages.clear(),
            3 => command.loud.clear(),
            4 => (command.all_targets, command.triple) = (false, false),
            _ => command.config.clear(),
        }
        Ok(true)
    })
}

fn commands(step: &mut Step) -> Vec<&mut Command> {
    let of_events = step.edits.iter_mut().filter_map(|edit| match edit {
        Edit::Plain(command) | Edit::Killed { command, .. } | Edit::Together { command, .. } => Some(command),
        _ => None,
    });
    of_events.chain([&mut step.command]).collect()
}

fn changed(script: &Script, change: impl FnOnce(&mut Script) -> Result<bool, End>) -> Result<Option<Script>, End> {
    let mut smaller = script.clone();
    Ok(change(&mut smaller)?.then_some(smaller))
}

fn nth<T>(list: &mut [T], n: usize) -> Result<&mut T, End> {
    list.get_mut(n).ok_or(End)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::generate::{Possible, script};

    #[test]
    fn everything_that_a_difference_does_not_need_is_removed() {
        let possible = Possible { toolchain: None, clippy: true, undeclared: false, derived: false, environment: true };
        let long = script(3, 25, &possible);
        let kept = long.start.packages.last().expect("a script has packages").name.clone();
        let differs = |script: &Script| script.start.package(&kept).map(|_| DifferenceKind::Printed);
        let small = shrink(&long, DifferenceKind::Printed, Instant::now() + Duration::from_secs(60), &differs);
        assert_eq!(small.steps.len(), 1);
        assert!(small.start.package(&kept).is_some_and(|package| package.parts.is_empty() && package.needs.is_empty()));
        assert!(small.start.packages.len() <= 2 && small.start.members().count() == 1);
    }

    #[test]
    fn nothing_is_removed_when_the_time_is_over() {
        let possible = Possible { toolchain: None, clippy: true, undeclared: false, derived: false, environment: true };
        let long = script(3, 25, &possible);
        assert_eq!(shrink(&long, DifferenceKind::Printed, Instant::now(), &|_| Some(DifferenceKind::Printed)), long);
    }
}
