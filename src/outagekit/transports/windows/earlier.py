r"""A look at a Windows endpoint that first waits for what an earlier try left running there. Pure.

A script does not end at once when its connection does, and one in a task does not end with it at
all. Asked meanwhile, the endpoint would truly say that the goal is not reached, and the step would
be begun a second time beside the first.
"""

from __future__ import annotations

import math
import re
from typing import Final

from msgspec.structs import replace

from outagekit.errors import OutagekitError
from outagekit.playbook.model import Code
from outagekit.text import visible_line
from outagekit.transports.meaning import STILL_RUNS, STILL_RUNS_SAID

_STEP: Final = re.compile(r"[a-z][a-z0-9_]*")
_COMMENTS: Final = r"(?>\s+|#[^\n]*\n|<#.*?#>)*+"
_USING: Final = re.compile(
    rf"(?:{_COMMENTS}using\s+(?:namespace|module|assembly)\s[^\n;]*(?:[\n;]|\Z))+",
    re.IGNORECASE | re.DOTALL,
)
"""Statements that nothing may stand before, not even a block around them."""
_BLOCK: Final = re.compile(
    rf"{_COMMENTS}(?:\[[^\]]*\]\s*)*+"
    r"(?:param\s*\(|(?:begin|process|end|dynamicparam)\s*\{)",
    re.IGNORECASE | re.DOTALL,
)
"""Words that have their meaning only at the beginning of a script."""

# Every command of ours is run by a cmd.exe, whose command line tells step and part. What this
# look belongs to is left out by its own chain of parents; where there is no cmd.exe but its own,
# nobody needs to ask WMI, which hangs on some sick machines. A task is counted from the moment it
# was told to run: its cmd.exe comes later. What cannot be looked at ends the look with an error:
# silence would be taken for proof that nothing runs. It ends as by an `exit`, without the
# word: text that holds it is run from a file, where policy may forbid that.
_WAIT: Final = r"""& {
$ErrorActionPreference = 'Stop'
function Test-OkTask {
  try {
    $service = New-Object -ComObject Schedule.Service
    $service.Connect()
    foreach ($task in $service.GetRunningTasks(1)) {
      $path = [string]$task.Path
      foreach ($part in @('script', 'undo')) {
        if ($path.StartsWith('\outagekit\%(step)s.' + $part + '.')) { return $true }
      }
    }
  } catch { $null = $_ }
  return $false
}
function Test-OkBusy {
  if (Test-OkTask) { return $true }
  if (@([Diagnostics.Process]::GetProcessesByName('cmd')).Count -le 1) { return $false }
  $all = @(Get-WmiObject -Query (
    'SELECT ProcessId, ParentProcessId, Name, CommandLine FROM Win32_Process'))
  $above = @{}
  foreach ($one in $all) { $above[[int]$one.ProcessId] = [int]$one.ParentProcessId }
  $mine = @{}
  $id = [int]$PID
  while (-not $mine.ContainsKey($id)) {
    $mine[$id] = $true
    if ($above.ContainsKey($id)) { $id = $above[$id] }
  }
  foreach ($one in $all) {
    $line = [string]$one.CommandLine
    if ([string]$one.Name -ne 'cmd.exe' -or $mine.ContainsKey([int]$one.ProcessId)) { continue }
    if (-not $line.Contains('"OK_STEP=%(step)s"')) { continue }
    foreach ($part in @('script', 'undo')) {
      if ($line.Contains('"OK_PART=' + $part + '"')) { return $true }
    }
  }
  return $false
}
$since = [Diagnostics.Stopwatch]::StartNew()
while (Test-OkBusy) {
  if ($since.Elapsed.TotalSeconds -ge %(wait_s)d) {
    $global:OKTold = @{ how = 'ex' + 'it'; rc = %(code)d; native = 0 }
    throw '%(said)s'
  }
  [Threading.Thread]::Sleep(1000)
}
}
"""


def after_earlier(code: Code, step: str, wait_s: float) -> Code:
    """Return code that first waits until no script or undo of this step runs on the endpoint.

    It waits about `wait_s` at most; then the code is not run, and `still_runs` is true of the
    outcome. Code for cmd is returned as it is: it cannot look, and nothing is waited for. Raises
    `OutagekitError` for what is no step.
    """
    if code.language != "powershell":
        return code
    if not _STEP.fullmatch(step):
        raise OutagekitError(f"'{visible_line(step)}' names no command")
    wait = _WAIT % {
        "step": step,
        "wait_s": math.ceil(wait_s),
        "said": STILL_RUNS_SAID,
        "code": STILL_RUNS,
    }
    using = _USING.match(code.text)
    first = using[0] if using else ""
    text = code.text[len(first) :]
    if _BLOCK.match(text):
        text = f"& {{\n{text}\n}}\n"
    return replace(code, text="\n".join((first, wait + text)) if first else wait + text)
