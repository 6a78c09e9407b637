# Reads only. The build that runs, and the package of the cumulative update that brought it.
$current = Get-ItemProperty -LiteralPath 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion'
$build = [string]$current.CurrentBuild + '.' + [string]$current.UBR
# The number of the update is not in a package's name; build and revision are, before its own. Some
# releases share their packages (26200 has those of 26100): where the bad build itself runs, the
# revision decides.
$numbers = [regex]::Escape($OK.bad_build)
if ($build -eq $OK.bad_build) { $numbers = '[0-9]+\.' + $OK.bad_build.Split('.')[1] }
$wanted = '^Package_for_RollupFix~[^|]*~~' + $numbers + '\.'
$package = ''
$state = ''
foreach ($line in @(& (Join-Path $env:WINDIR 'System32\dism.exe') /english /online /get-packages /format:table)) {
    $cells = @($line.Split('|') | ForEach-Object { $_.Trim() })
    if ($cells.Count -ge 2 -and $cells[0] -match $wanted -and $state -ne 'Installed') {
        $package = $cells[0]
        $state = $cells[1]
    }
}
if ($LASTEXITCODE -ne 0) { throw "dism could not list the packages: exit code $LASTEXITCODE" }
if ($state -like '*Pending') {
    [Console]::Error.WriteLine("a restart decides what becomes of the update (it is: $state): restart it, then run this again")
    exit 3
}
if ($build -eq $OK.bad_build -and $state -ne 'Installed') {
    [Console]::Error.WriteLine("build $build runs, but no package of it can be removed")
    exit 3
}
$impacted = 'false'
if ($state -eq 'Installed') { $impacted = 'true' }
'{"impacted": ' + $impacted + ', "build": "' + $build + '", "package": "' + $package +
    '", "installed_as": "' + $state + '"}'
