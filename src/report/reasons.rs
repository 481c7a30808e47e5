//! A description of each [`MissReason`], and advice. [`UncacheableReason`](crate::event::UncacheableReason) has methods
//! for both.

use crate::event::MissReason;

/// What a miss reason means, in a few words.
pub fn describe_miss(reason: MissReason) -> &'static str {
    match reason {
        MissReason::Absent => "no store has it",
        MissReason::Corrupt => "the stored object was damaged",
        MissReason::RemoteFailed => "the remote did not answer in time, or gave an error",
        MissReason::Dependency => "a dependency differs from the one it was compiled against",
        MissReason::Invocation => "rustc's command line differs from the recorded one",
        MissReason::Environment => "a variable it reads through env! has another value",
        MissReason::Input => "a generated file it reads has other content",
        MissReason::Observed => "something that it was observed to read has changed",
        MissReason::PathBound => "the stored output holds a path of another machine",
        MissReason::Restore => "it could not be copied into the target directory",
    }
}

/// What would make the unit a hit.
pub fn miss_advice(reason: MissReason) -> Option<&'static str> {
    match reason {
        MissReason::Absent => Some("nothing to do: once it is recorded, the same unit is a hit next time"),
        MissReason::Corrupt => Some("nothing to do: the rebuilt unit replaces it"),
        MissReason::RemoteFailed => Some("see the warning for the service's own words; check the remote and `timeout`"),
        MissReason::Dependency => Some("nothing to do: it is recorded against the dependency that was built now"),
        MissReason::Invocation => Some("build with the same flags and configuration everywhere"),
        MissReason::Environment => Some("give the variable the same value on all machines"),
        MissReason::Input => Some("make the build script that writes the file produce the same output every time"),
        MissReason::Observed => Some("nothing to do if the change is intended; else make it the same on all machines"),
        MissReason::PathBound => Some("keep CARGO_HOME and the target directory at the same paths on all machines"),
        MissReason::Restore => Some("check the free space and the permissions of the target directory"),
    }
}
