# Reads only. Fails where the build of before runs again, nothing keeps the update away, a service
# that ran before does not, or BitLocker protected the drive before and does not now.
$current = Get-ItemProperty -LiteralPath 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion'
$build = [string]$current.CurrentBuild + '.' + [string]$current.UBR
$key = 'HKLM:\SOFTWARE\Microsoft\WindowsUpdate\UX\Settings'
$until = ''
if (Test-Path -LiteralPath $key) { $until = [string](Get-ItemProperty -LiteralPath $key).PauseQualityUpdatesEndTime }
$invariant = [Globalization.CultureInfo]::InvariantCulture
$style = [Globalization.DateTimeStyles]'AssumeUniversal, AdjustToUniversal'
$moment = [DateTime]::MinValue
$held = [DateTime]::TryParse($until, $invariant, $style, [ref]$moment) -and $moment -gt [DateTime]::UtcNow
$shown = ''
if ($held) { $shown = $moment.ToString('yyyy-MM-ddTHH:mm:ssZ', $invariant) }
$pending = 'false'
if (Test-Path -LiteralPath 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending') {
    $pending = 'true'
}
$missing = @()
foreach ($name in @($OK.running)) {
    $service = Get-Service -Name $name -ErrorAction SilentlyContinue
    if (-not $service -or $service.Status -ne 'Running') { $missing += $name }
}
$reasons = @()
if ($build -eq $OK.build_before) { $reasons += "build $build still runs" }
if (-not $held) { $reasons += 'nothing keeps the update from coming back tonight' }
if ($missing.Count -gt 0) { $reasons += 'ran before, and does not now: ' + [string]::Join(', ', $missing) }
if ($OK.bitlocker) {
    $volume = Get-WmiObject -Namespace 'root\CIMV2\Security\MicrosoftVolumeEncryption' -Class Win32_EncryptableVolume -Filter "DriveLetter='$env:SystemDrive'"
    if (-not $volume -or $volume.GetProtectionStatus().ProtectionStatus -ne 1) {
        $reasons += "BitLocker does not protect $env:SystemDrive any more"
    }
}
'{"build": "' + $build + '", "held_until": "' + $shown + '", "reboot_pending": ' + $pending + '}'
if ($reasons.Count -gt 0) {
    [Console]::Error.WriteLine([string]::Join('; ', $reasons))
    exit 1
}
