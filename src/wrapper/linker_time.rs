//! The processor time of the linker: rustc starts no other process.

use std::process::Child;

/// The processor time of the processes that `child` has started and waited for, in milliseconds; `None` if the system
/// does not provide it. Returns when the child has ended, and leaves it to be waited for.
#[cfg(target_os = "linux")]
pub(super) fn child_cpu_millis(child: &Child) -> Option<u64> {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

    let pid = Pid::from_raw(child.id().try_into().ok()?)?;
    // The kernel keeps the account of a process until somebody has waited for it.
    while let Err(error) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
        if error != rustix::io::Errno::INTR {
            return None;
        }
    }
    let account = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).ok()?;
    Some(ticks_of_children(&account)? * 1000 / rustix::param::clock_ticks_per_second().max(1))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn child_cpu_millis(_: &Child) -> Option<u64> {
    None
}

/// The sum of the fields `cutime` and `cstime` of `proc_pid_stat(5)`. The second field, a name, may contain anything.
#[cfg(target_os = "linux")]
fn ticks_of_children(account: &str) -> Option<u64> {
    let mut fields = account.rsplit_once(')')?.1.split_whitespace().skip(13);
    let mut field = || fields.next()?.parse::<u64>().ok();
    Some(field()? + field()?)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_account_is_read_after_a_name_with_spaces_and_parentheses() {
        let account = "4711 (a) b (c) Z 1 2 3 0 -1 4 5 6 7 8 90 10 1500 250 20 0 1 0 99";
        assert_eq!(ticks_of_children(account), Some(1750));
        assert_eq!(ticks_of_children("4711 (a) Z 1 2"), None);
        assert_eq!(ticks_of_children("nothing"), None);
    }

    #[test]
    fn the_time_of_a_childs_children_counts_but_not_its_own() {
        let spin = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done";
        let took = |script: &str| {
            let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
            let took = child_cpu_millis(&child).unwrap();
            assert!(child.wait().unwrap().success());
            took
        };
        assert_eq!(took(spin), 0);
        assert!(took(&format!("sh -c '{spin}'; true")) > 0);
    }
}
