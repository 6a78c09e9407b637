# Reads only. The build that runs, and the package of the cumulative update that brought it.
$current = Get-ItemProperty -LiteralPath 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion'
$build = [string]$current.CurrentBuild + '.' + [string]$current.UBR
$dism = Join-Path $env:WINDIR 'System32\dism.exe'
$package = ''
$state = ''
# The number of the update is not in a package's name; build and revision are, before its own.
$wanted = '^Package_for_RollupFix~[^|]*~~' + [regex]::Escape($OK.bad_build) + '\.'
foreach ($line in @(& $dism /english /online /get-packages /format:table)) {
    $cells = @($line.Split('|') | ForEach-Object { $_.Trim() })
    if ($cells.Count -ge 2 -and $cells[0] -match $wanted) {
        $package = $cells[0]
        $state = $cells[1]
    }
}
if ($LASTEXITCODE -ne 0) { throw "dism could not list the packages: exit code $LASTEXITCODE" }
$impacted = 'false'
if ($package -and $state -eq 'Installed') { $impacted = 'true' }
elseif ($build -eq $OK.bad_build -and -not $package) {
    [Console]::Error.WriteLine("build $build runs, but no package of it can be removed")
    exit 3
}
'{"impacted": ' + $impacted + ', "build": "' + $build + '", "package": "' + $package +
    '", "installed_as": "' + $state + '"}'
