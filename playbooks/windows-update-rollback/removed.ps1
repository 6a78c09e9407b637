# Reads only. True: the package is gone, or goes with the next restart.
$lines = @(& (Join-Path $env:WINDIR 'System32\dism.exe') /english /online /get-packages /format:table)
if ($LASTEXITCODE -ne 0) { throw "dism could not list the packages: exit code $LASTEXITCODE" }
$gone = $true
foreach ($line in $lines) {
    $cells = @($line.Split('|') | ForEach-Object { $_.Trim() })
    if ($cells.Count -ge 2 -and $cells[0] -eq $OK.package) {
        # What is only staged, or superseded, does not run.
        $gone = @('Uninstall Pending', 'Superseded', 'Staged', 'Removed', 'Not Present') -contains $cells[1]
    }
}
$gone
