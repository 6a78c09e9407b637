# Reads only. True: updates are held for as long as was asked for, give or take a day.
$key = 'HKLM:\SOFTWARE\Microsoft\WindowsUpdate\UX\Settings'
$held = $false
if (Test-Path -LiteralPath $key) {
    $until = [string](Get-ItemProperty -LiteralPath $key).PauseQualityUpdatesEndTime
    $moment = [DateTime]::MinValue
    $style = [Globalization.DateTimeStyles]'AssumeUniversal, AdjustToUniversal'
    $invariant = [Globalization.CultureInfo]::InvariantCulture
    if ([DateTime]::TryParse($until, $invariant, $style, [ref]$moment)) {
        $held = $moment -gt [DateTime]::UtcNow.AddDays($OK.hold_days - 1)
    }
}
$held
