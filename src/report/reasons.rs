//! What a miss reason means, and what would change it.
//!
//! [`UncacheableReason`](crate::event::UncacheableReason) brings its own description and advice; these are the ones of
//! [`MissReason`](crate::event::MissReason).

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
        MissReason::Observed => "what it was seen to read is another now",
        MissReason::PathBound => "the stored output holds a path of another machine",
        MissReason::Restore => "it could not be copied into the target directory",
    }
}

/// What would make it a hit, where the user can do something.
pub fn miss_advice(reason: MissReason) -> Option<&'static str> {
    match reason {
        MissReason::Absent => Some("nothing to do: once it is recorded, the same unit is a hit next time"),
        MissReason::Corrupt => Some("nothing to do: the rebuilt unit replaces it"),
        MissReason::RemoteFailed => Some("see the warning for the service's own words; check the remote and `timeout`"),
        MissReason::Dependency => Some("nothing to do: it is recorded against the dependency that was built now"),
        MissReason::Invocation => Some("build with the same flags and configuration everywhere"),
        MissReason::Environment => Some("give the variable one value on all machines"),
        MissReason::Input => Some("make the build script that writes the file give the same output every time"),
        MissReason::Observed => {
            Some("nothing to do where that changes on purpose; else have it the same on all machines")
        }
        MissReason::PathBound => Some("keep CARGO_HOME and the target directory at one path on all machines"),
        MissReason::Restore => Some("check the free space and the permissions of the target directory"),
    }
}
