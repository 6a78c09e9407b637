# Reads only. True: quality updates are held for at least a day from now on.
$key = 'HKLM:\SOFTWARE\Microsoft\WindowsUpdate\UX\Settings'
$held = $false
if (Test-Path -LiteralPath $key) {
    $until = (Get-ItemProperty -LiteralPath $key).PauseQualityUpdatesEndTime
    $moment = [DateTime]::MinValue
    $style = [Globalization.DateTimeStyles]'AssumeUniversal, AdjustToUniversal'
    $culture = [Globalization.CultureInfo]::InvariantCulture
    if ($until -and [DateTime]::TryParse($until, $culture, $style, [ref]$moment)) {
        $held = $moment -gt [DateTime]::UtcNow.AddDays(1)
    }
}
$held
