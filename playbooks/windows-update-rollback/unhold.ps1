# Puts back what was set before this run's hold.
$key = 'HKLM:\SOFTWARE\Microsoft\WindowsUpdate\UX\Settings'
$kept = "HKLM:\SOFTWARE\outagekit\$($OK.run)"
if (-not (Test-Path -LiteralPath $kept)) { throw "nothing is kept of what was set before: $kept" }
$before = Get-ItemProperty -LiteralPath $kept
$names = @(
    'PauseQualityUpdatesStartTime', 'PauseFeatureUpdatesStartTime', 'PauseUpdatesStartTime',
    'PauseQualityUpdatesEndTime', 'PauseFeatureUpdatesEndTime', 'PauseUpdatesExpiryTime'
)
foreach ($name in $names) {
    $value = [string]$before.$name
    if (-not $value) { continue }
    if ($value -eq '-') { Remove-ItemProperty -LiteralPath $key -Name $name -ErrorAction SilentlyContinue }
    else { Set-ItemProperty -LiteralPath $key -Name $name -Value $value }
}
Remove-Item -LiteralPath $kept
'updates come as they did before'
