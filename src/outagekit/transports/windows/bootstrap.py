"""The PowerShell around a step's script: how it is read, run, and what is told of its end. Pure.

For PowerShell 2.0 to 5.1. Two texts: `BOOTSTRAP` is constant, short, and stands on the command
line; `RUNNER` comes with the script on standard input, where there is room.

The input is a line with a nonce, then base64 of UTF-8: runner, kind, prelude, script and a number,
with NULs between them. The number counts what stands before it (UTF-16 units): where it is missing
or wrong a part of the input was lost, and nothing is run. The script's own text is a block of its
own, so that line numbers in errors are those of the step.

The last line of the output is `<nonce> {"how":…,"rc":…,"native":…,"ps":…,"mode":…,"boot":…}`, in
ASCII; `trailer` reads it. A script that itself ran another one sets `$global:OKTold` to a hashtable
with `how`, `rc` and `native`: then these are told instead of its own end.
"""

from __future__ import annotations

import base64
from typing import Final

CUT_CODE: Final = 74
"""Exit code where the input did not arrive whole: EX_IOERR of sysexits.h."""
CONSTRAINED_CODE: Final = 78
"""Exit code where PowerShell may not do what is needed: EX_CONFIG."""
MOST_CHARACTERS: Final = 8191
"""The longest command line that cmd.exe takes."""

# The language mode is looked at before anything is decoded: what is not allowed in a constrained
# one would be an error in the middle. `$input` must stand here, and not in a block: PowerShell
# looks for it to decide whether to read standard input, and runs this only after the input's end.
BOOTSTRAP: Final = rf"""$ok_in=@($input)
$ok_nonce=''
if($ok_in.Count -gt 0){{$ok_nonce=([string]$ok_in[0]).Trim()}}
$ok_mode=[string]$ExecutionContext.SessionState.LanguageMode
function Get-OkRefusal($how,$code){{"`n"+$ok_nonce+' {{"how":"'+$how+'","rc":'+$code+
',"native":null,"ps":"'+$PSVersionTable.PSVersion+'","mode":"'+$ok_mode+'","boot":""}}'}}
if($ok_mode -ne 'FullLanguage'){{
Get-OkRefusal 'constrained' {CONSTRAINED_CODE}
exit {CONSTRAINED_CODE}
}}
$ok_part=@('','')
try{{
$ok_text=[string]::Join('',[string[]]@($ok_in|Select-Object -Skip 1))
$ok_text=[Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($ok_text))
$ok_part=$ok_text.Split([char]0)
}}catch{{$ok_text=''}}
if($ok_part.Length -ne 5 -or $ok_part[4] -cne [string]($ok_text.Length-$ok_part[4].Length)){{
[Console]::Error.WriteLine('outagekit: the script did not arrive whole; nothing of it was run')
[Console]::Out.WriteLine((Get-OkRefusal 'cut' {CUT_CODE}))
exit {CUT_CODE}
}}
. ([ScriptBlock]::Create($ok_part[0]))
"""

# Notes on what is relied upon:
# - The pipeline to Out-Default is complete before the trailer is written: from 5.0 on a table waits
#   300 ms for more of its kind, and everything after it waits with it.
# - `exit` in a script file ends only the file and sets $LASTEXITCODE; in a block it would end the
#   process. Where policy forbids files the block is run all the same: `finally` is reached, and the
#   exit code is that of the process.
# - The tail is the next statement after the script's last one: only there is `$?` the script's. It
#   begins with `;` for a last line that ends with a backtick. Where the script has named blocks
#   nothing may follow them, and it is run without a tail.
# - Whatever leaves a loop that is not there (`break`) leaves the one around the script.
# - Tables are as wide as the console, which is 80 columns here unless it is told otherwise. Before
#   3.0 lines of text are broken there as well: they go around it.
# - WMI hangs on sick machines: it is not asked for the time since the machine started.
RUNNER: Final = r"""
$ProgressPreference='SilentlyContinue'
$ErrorActionPreference='Stop'
try{
  $OutputEncoding=New-Object Text.UTF8Encoding $false
  [Console]::OutputEncoding=$OutputEncoding
}catch{$null=$_}
try{
  $ok_size=$Host.UI.RawUI.BufferSize
  if($ok_size.Width -lt 160){
    $Host.UI.RawUI.BufferSize=New-Object Management.Automation.Host.Size(160,$ok_size.Height)
  }
}catch{$null=$_}
$global:LASTEXITCODE=0
$global:OKTold=$null
$global:OKOk=$null
$global:OKFault=$false
$ok_file=''
$ok_read=$false
$ok_ended=$false
$ok_kind=$ok_part[1]
$ok_trail="`n;" + '$global:OKOk=$?'
function Get-OkUptime{
  $s=[double][Environment]::TickCount
  if($s -lt 0){$s+=4294967296}
  $s/=1000
  # That counter begins anew after 49.7 days; this one does not, but may not begin with the boot.
  $far=[Diagnostics.Stopwatch]::GetTimestamp()/[double][Diagnostics.Stopwatch]::Frequency
  $turns=[Math]::Round(($far-$s)/4294967.296)
  $near=[Math]::Abs($far-$s-$turns*4294967.296) -lt 300
  if([Diagnostics.Stopwatch]::IsHighResolution -and $near -and $turns -gt 0){
    $s+=$turns*4294967.296
  }
  return $s
}
function Send-OkTrailer($how,$rc){
  $native='null'
  if($global:LASTEXITCODE -is [int]){$native=[string]$global:LASTEXITCODE}
  $boot=''
  try{
    $boot=[DateTime]::UtcNow.AddSeconds(-(Get-OkUptime))
    $boot=$boot.ToString('yyyy-MM-ddTHH:mm:ssZ',[Globalization.CultureInfo]::InvariantCulture)
  }catch{$boot=''}
  $line="`n"+$ok_nonce+' {"how":"'+$how+'","rc":'+$rc+',"native":'+$native+
    ',"ps":"'+$PSVersionTable.PSVersion+'","mode":"'+$ok_mode+'","boot":"'+$boot+'"}'+"`n"
  $bytes=[Text.Encoding]::ASCII.GetBytes($line)
  [Console]::Out.Flush()
  $out=[Console]::OpenStandardOutput()
  $out.Write($bytes,0,$bytes.Length)
  $out.Flush()
}
function Show-OkFault($record){
  $global:OKFault=$true
  $said=[string]$record
  $info=$record.InvocationInfo
  if(-not $ok_read){
    # It could not be read: the reason and the place are inside of what the attempt reported.
    $fault=$record.Exception
    while($null -ne $fault.InnerException){$fault=$fault.InnerException}
    $said=$fault.Message
  }elseif($null -ne $info -and $info.ScriptLineNumber -gt 0){
    if(-not $info.ScriptName -or $info.ScriptName -eq $ok_file){
      $said='line '+$info.ScriptLineNumber+': '+$said
    }
    if($info.Line){$said='    '+([string]$info.Line).Trim()+"`n"+$said}
  }
  [Console]::Error.WriteLine($said)
}
function Save-OkScript($text,$extension,$mark){
  $name='outagekit-'+[Guid]::NewGuid().ToString('N')+$extension
  $why=$null
  # An account that never logged in there may have no folder for such files.
  foreach($folder in @([IO.Path]::GetTempPath(),($env:SystemRoot+'\Temp'))){
    $path=[IO.Path]::Combine($folder,$name)
    try{
      [IO.File]::WriteAllText($path,$text,(New-Object Text.UTF8Encoding $mark))
      return $path
    }catch{
      $why=$_
      try{[IO.File]::Delete($path)}catch{$null=$_}
    }
  }
  throw $why
}
filter Out-OkText{if($_ -is [string]){[Console]::Out.WriteLine($_)}else{$_}}
try{
  . ([ScriptBlock]::Create($ok_part[2]))
  if($ok_kind -ceq 'cmd'){
    $ok_file=Save-OkScript $ok_part[3] '.cmd' $false
    $env:OUTAGEKIT_FILE=$ok_file
    $ok_block={& $env:ComSpec /d /s /c 'call "%OUTAGEKIT_FILE%" & exit'}
  }else{
    $ok_text=$ok_part[3]+$ok_trail
    try{$ok_block=[ScriptBlock]::Create($ok_text)}catch{
      $ok_text=$ok_part[3]
      $ok_block=[ScriptBlock]::Create($ok_text)
    }
    if($ok_kind -ceq 'exit'){
      try{
        if(@('Bypass','Unrestricted','RemoteSigned') -contains [string](Get-ExecutionPolicy)){
          $ok_file=Save-OkScript $ok_text '.ps1' $true
          $ok_block=$ok_file
        }
      }catch{$ok_file=''}
    }
  }
  $ok_read=$true
  $ok_run={foreach($ok_once in @(1)){try{& $ok_block}catch{Show-OkFault $_}}}
  if($PSVersionTable.PSVersion.Major -lt 3){& $ok_run|Out-OkText|Out-Default}
  else{& $ok_run|Out-Default}
  $ok_ended=$true
}catch{
  Show-OkFault $_
  $ok_ended=$true
}finally{
  if($ok_file){try{[IO.File]::Delete($ok_file)}catch{$null=$_}}
  if(-not $ok_ended -and $ok_kind -ceq 'exit' -and -not $ok_file){
    Send-OkTrailer 'exit' 'null'
  }
}
$ok_how='end'
$ok_rc=0
if($global:OKFault){
  $ok_how='error'
  $ok_rc=1
}elseif($ok_file -and $null -eq $global:OKOk){
  $ok_how='exit'
  if($global:LASTEXITCODE -is [int]){$ok_rc=$global:LASTEXITCODE}
}elseif($global:OKOk -eq $false){
  $ok_rc=1
  if($global:LASTEXITCODE -is [int] -and $global:LASTEXITCODE -ne 0){$ok_rc=$global:LASTEXITCODE}
}
if($global:OKTold -is [hashtable]){
  $ok_how=$global:OKTold['how']
  $ok_rc=[int]$global:OKTold['rc']
  $global:LASTEXITCODE=$global:OKTold['native']
}
Send-OkTrailer $ok_how $ok_rc
exit $ok_rc
"""


def encoded_command(text: str) -> str:
    """Return a text as `-EncodedCommand` wants it: base64 of UTF-16."""
    return base64.b64encode(text.encode("utf-16-le")).decode("ascii")


PROGRAM: Final = (
    "powershell.exe -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass"
    f" -InputFormat Text -OutputFormat Text -EncodedCommand {encoded_command(BOOTSTRAP)}"
)
"""The command line that runs what comes on standard input."""
