# Reads only. Every reason against a servicing action now, all at once. What cannot be read is one.
# KB5074109 (January 2026) made machines unbootable whose earlier update had failed half way.
$reasons = @()
$servicing = 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing'
$keys = @(
    "$servicing\RebootPending", "$servicing\RebootInProgress", "$servicing\PackagesPending",
    'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired'
)
foreach ($key in $keys) {
    if (Test-Path -LiteralPath $key) { $reasons += 'a restart is pending (' + $key.Split('\')[-1] + ')' }
}
if (Test-Path -LiteralPath (Join-Path $env:WINDIR 'WinSxS\pending.xml')) {
    $reasons += 'an earlier servicing action is not finished (pending.xml)'
}
$failed = 0
$since = (Get-Date).AddDays(-60)
try {
    $events = @(Get-WinEvent -FilterHashtable @{LogName = 'System'; ProviderName = 'Microsoft-Windows-WindowsUpdateClient'; Id = 20; StartTime = $since})
    foreach ($one in $events) {
        # Apps of the store, and what Defender and the removal tool get every day, touch no system file.
        $said = [string]::Join(' ', @($one.Properties | ForEach-Object { [string]$_.Value }))
        if ($said -notmatch '\b9[A-Z0-9]{11}-|KB2267602|KB4052623|KB890830') { $failed++ }
    }
} catch {
    if ($_.FullyQualifiedErrorId -notlike 'NoMatchingEventsFound*') { $reasons += 'the log of updates cannot be read' }
}
if ($failed -gt 0 -and -not $OK.after_failed_updates) {
    $reasons += "updates have failed $failed times in the last 60 days (-p after_failed_updates=true goes on all the same)"
}
$health = [string]::Join(' ', @(& (Join-Path $env:WINDIR 'System32\dism.exe') /english /online /cleanup-image /checkhealth))
if ($LASTEXITCODE -ne 0 -or $health -notmatch 'No component store corruption detected') {
    $reasons += "the component store is not sound (dism /checkhealth, exit code $LASTEXITCODE)"
}
$drive = Get-WmiObject Win32_LogicalDisk -Filter "DeviceID='$env:SystemDrive'"
$free = [int][Math]::Floor($drive.FreeSpace / 1073741824)
if ($free -lt $OK.free_gb) { $reasons += "only $free GB are free on $env:SystemDrive" }
foreach ($battery in @(Get-WmiObject Win32_Battery)) {
    # 1: discharging, 4: low, 5: critical.
    if ($battery -and @(1, 4, 5) -contains $battery.BatteryStatus) { $reasons += 'it runs on its battery, or that is low' }
}
$bitlocker = 'false'
try {
    $volume = Get-WmiObject -Namespace 'root\CIMV2\Security\MicrosoftVolumeEncryption' -Class Win32_EncryptableVolume -Filter "DriveLetter='$env:SystemDrive'"
    if ($volume -and $volume.GetProtectionStatus().ProtectionStatus -eq 1) { $bitlocker = 'true' }
} catch {
    # Where BitLocker is not there at all, this is how it is said.
    if (@('InvalidNamespace', 'InvalidClass') -notcontains [string]$_.Exception.ErrorCode) {
        $reasons += 'nobody knows whether BitLocker protects the drive'
    }
}
$ready = 'false'
if ($reasons.Count -eq 0) { $ready = 'true' }
'{"ready": ' + $ready + ', "reasons": "' + [string]::Join('; ', $reasons) + '", "bitlocker": ' +
    $bitlocker + ', "free_gb_found": ' + $free + '}'
