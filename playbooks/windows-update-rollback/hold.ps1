# Pauses updates until a date, as the Settings app does. What was set before is kept for undo.
if ($OK.hold_days -lt 1 -or $OK.hold_days -gt 35) { throw 'hold_days must be 1 to 35' }
$key = 'HKLM:\SOFTWARE\Microsoft\WindowsUpdate\UX\Settings'
$kept = "HKLM:\SOFTWARE\outagekit\$($OK.run)"
$starts = 'PauseQualityUpdatesStartTime', 'PauseFeatureUpdatesStartTime', 'PauseUpdatesStartTime'
$ends = 'PauseQualityUpdatesEndTime', 'PauseFeatureUpdatesEndTime', 'PauseUpdatesExpiryTime'
if (-not (Test-Path -LiteralPath $key)) { [void](New-Item -Path $key -Force) }
if (-not (Test-Path -LiteralPath $kept)) { [void](New-Item -Path $kept -Force) }
foreach ($name in $starts + $ends) {
    # Once only: a second try must not take our own value for what was before.
    if ((Get-ItemProperty -LiteralPath $kept).$name) { continue }
    $value = [string](Get-ItemProperty -LiteralPath $key).$name
    if (-not $value) { $value = '-' }
    Set-ItemProperty -LiteralPath $kept -Name $name -Value $value
}
$invariant = [Globalization.CultureInfo]::InvariantCulture
$now = [DateTime]::UtcNow
$until = $now.AddDays($OK.hold_days).ToString('yyyy-MM-ddTHH:mm:ssZ', $invariant)
foreach ($name in $starts) {
    Set-ItemProperty -LiteralPath $key -Name $name -Value $now.ToString('yyyy-MM-ddTHH:mm:ssZ', $invariant)
}
foreach ($name in $ends) { Set-ItemProperty -LiteralPath $key -Name $name -Value $until }
"updates are held until $until"
