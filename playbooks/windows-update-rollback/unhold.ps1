# Puts back what was set before the hold.
$key = 'HKLM:\SOFTWARE\Microsoft\WindowsUpdate\UX\Settings'
foreach ($name in 'PauseQualityUpdatesStartTime', 'PauseQualityUpdatesEndTime', 'PauseUpdatesExpiryTime') {
    $kept = "OutagekitBefore$name"
    $before = (Get-ItemProperty -LiteralPath $key).$kept
    if (-not $before) { continue }
    if ($before -eq '-') { Remove-ItemProperty -LiteralPath $key -Name $name -ErrorAction SilentlyContinue }
    else { Set-ItemProperty -LiteralPath $key -Name $name -Value $before }
    Remove-ItemProperty -LiteralPath $key -Name $kept
}
'quality updates come as they did before'
