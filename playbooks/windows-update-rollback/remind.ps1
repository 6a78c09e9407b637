# Reads only. What has to be done later, in a line each.
$until = ''
$key = 'HKLM:\SOFTWARE\Microsoft\WindowsUpdate\UX\Settings'
if (Test-Path -LiteralPath $key) { $until = [string](Get-ItemProperty -LiteralPath $key).PauseQualityUpdatesEndTime }
$name = 'the update'
if ($OK.kb) { $name = $OK.kb }
if ($until) { "updates are held until $until; until then the security fixes of $name are missing: an exposure the client should know of" }
'decline it in WSUS, RMM or Intune as well: a policy overrules a hold on the machine, and a server may not heed it'
