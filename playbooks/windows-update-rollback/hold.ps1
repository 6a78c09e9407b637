# Pauses quality updates until a date, as the Settings app does. What was set before is kept.
if ($OK.hold_days -lt 1 -or $OK.hold_days -gt 35) { throw 'hold_days must be 1 to 35' }
$key = 'HKLM:\SOFTWARE\Microsoft\WindowsUpdate\UX\Settings'
$names = 'PauseQualityUpdatesStartTime', 'PauseQualityUpdatesEndTime', 'PauseUpdatesExpiryTime'
if (-not (Test-Path -LiteralPath $key)) { [void](New-Item -Path $key -Force) }
$now = [DateTime]::UtcNow
$format = 'yyyy-MM-ddTHH:mm:ssZ'
$until = $now.AddDays($OK.hold_days).ToString($format)
foreach ($name in $names) {
    $before = (Get-ItemProperty -LiteralPath $key).$name
    $kept = "OutagekitBefore$name"
    # Once only: a second try must not take our own value for what was before.
    if (-not (Get-ItemProperty -LiteralPath $key).$kept) {
        $value = '-'
        if ($before) { $value = $before }
        Set-ItemProperty -LiteralPath $key -Name $kept -Value $value
    }
}
Set-ItemProperty -LiteralPath $key -Name 'PauseQualityUpdatesStartTime' -Value $now.ToString($format)
Set-ItemProperty -LiteralPath $key -Name 'PauseQualityUpdatesEndTime' -Value $until
Set-ItemProperty -LiteralPath $key -Name 'PauseUpdatesExpiryTime' -Value $until
"quality updates are held until $until"
