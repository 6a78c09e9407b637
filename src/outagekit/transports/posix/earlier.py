"""A look at a POSIX endpoint that first waits for what an earlier try left running there. Pure.

A script does not need the connection it came over: when the line breaks, or our process dies, it
may go on to its end. Asked meanwhile, the endpoint would truly say that the goal is not reached,
and the step would be begun a second time beside the first.
"""

from __future__ import annotations

import math
from typing import Final

from msgspec.structs import replace

from outagekit.playbook.model import Code
from outagekit.transports.meaning import STILL_RUNS, STILL_RUNS_SAID

# Found by the environment it was started with, which children share, and by being the shell that
# reads a script from us, which a service that the script has restarted is not. Shells leave out
# NUL characters when they read, or end the line there.
_WAIT: Final = r"""(
set +eu
exec 3>&2 2>/dev/null
waited=0
while :; do
  found=
  for process in /proc/[0-9]*; do
    words=
    IFS= read -r words <"$process/cmdline"
    case $words in sh | sh-s | bash | bash-s) ;; *) continue ;; esac
    facts="
$(tr '\000' '\n' <"$process/environ")
"
    case $facts in *"
OK_STEP=%(step)s
"*) ;; *) continue ;; esac
    case $facts in *"
OK_PART=script
"* | *"
OK_PART=undo
"*) found=1 && break ;; esac
  done
  [ -n "$found" ] || exit 0
  [ "$waited" -lt %(wait_s)d ] || break
  sleep 1
  waited=$((waited + 1))
done
echo '%(said)s' >&3
exit %(code)d
)
"""


def after_earlier(code: Code, step: str, wait_s: float) -> Code:
    """Return code that first waits until no script or undo of this step runs on the endpoint.

    It waits about `wait_s` at most; then the code is not run, and `still_runs` is true of the
    outcome. Where there is no `/proc`, as on macOS, nothing can be seen, and nothing is waited for;
    nor is it in a language that is no POSIX shell's.
    """
    if code.language not in {"sh", "bash"}:
        return code
    wait = _WAIT % {
        "step": step,
        "wait_s": math.ceil(wait_s),
        "said": STILL_RUNS_SAID,
        "code": STILL_RUNS,
    }
    return replace(code, text=wait + code.text)
