# Reads only. What has to be done later, in a line each.
$kept = Join-Path $env:ProgramData 'outagekit-kept\crowdstrike-291'
$copies = 0
if (Test-Path -LiteralPath $kept) { $copies = @(Get-ChildItem -LiteralPath $kept -Force).Count }
if ($copies -gt 0) { "copies of the faulty files are in ${kept}: delete the folder once nobody needs them" }
'rotate every BitLocker recovery key that was read out during the repair'
