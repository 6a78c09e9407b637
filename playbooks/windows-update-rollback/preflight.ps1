# Reads only. Every reason against a servicing action now, all at once; exit 3 if there is one.
# KB5074109 (January 2026) made machines unbootable whose earlier update had failed half way.
$reasons = @()
$windows = $env:WINDIR
$keys = @(
    'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending',
    'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired'
)
foreach ($key in $keys) {
    if (Test-Path -LiteralPath $key) { $reasons += "a restart is pending already ($key)" }
}
if (Test-Path -LiteralPath (Join-Path $windows 'WinSxS\pending.xml')) {
    $reasons += 'an earlier servicing action is not finished (WinSxS\pending.xml)'
}
if (-not $OK.after_failed_updates) {
    $since = (Get-Date).AddDays(-60)
    $failed = @(Get-WinEvent -FilterHashtable @{LogName = 'System'; ProviderName = 'Microsoft-Windows-WindowsUpdateClient'; Id = 20; StartTime = $since} -ErrorAction SilentlyContinue)
    if ($failed.Count -gt 0) {
        $reasons += "$($failed.Count) updates have failed in the last 60 days (-p after_failed_updates=true goes on all the same)"
    }
}
$dism = Join-Path $windows 'System32\dism.exe'
$health = [string]::Join(' ', @(& $dism /english /online /cleanup-image /checkhealth))
if ($LASTEXITCODE -ne 0 -or $health -notmatch 'No component store corruption detected') {
    $reasons += "the component store is not sound (dism /checkhealth, exit code $LASTEXITCODE)"
}
$details = [string]::Join(' ', @(& $dism /english /online /get-packageinfo "/packagename:$($OK.package)"))
if ($LASTEXITCODE -ne 0) { $reasons += "dism knows nothing of the package: exit code $LASTEXITCODE" }
elseif ($details -match 'Permanent\s*:\s*Yes') { $reasons += 'the package is permanent: it cannot be removed' }
$drive = Get-WmiObject Win32_LogicalDisk -Filter "DeviceID='$env:SystemDrive'"
$free = [int][Math]::Floor($drive.FreeSpace / 1073741824)
if ($free -lt $OK.free_gb) { $reasons += "only $free GB are free on $env:SystemDrive" }
$battery = @(Get-WmiObject Win32_Battery -ErrorAction SilentlyContinue)
if ($battery.Count -gt 0 -and $battery[0] -and $battery[0].BatteryStatus -eq 1) {
    $reasons += 'it runs on its battery'
}
$bitlocker = 'false'
$volume = Get-WmiObject -Namespace 'root\CIMV2\Security\MicrosoftVolumeEncryption' -Class Win32_EncryptableVolume -Filter "DriveLetter='$env:SystemDrive'" -ErrorAction SilentlyContinue
if ($volume -and $volume.GetProtectionStatus().ProtectionStatus -eq 1) { $bitlocker = 'true' }
if ($reasons.Count -gt 0) {
    foreach ($reason in $reasons) { [Console]::Error.WriteLine($reason) }
    exit 3
}
'{"bitlocker": ' + $bitlocker + ', "free_gb_found": ' + $free + '}'
