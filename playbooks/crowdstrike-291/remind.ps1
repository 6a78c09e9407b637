# Reads only. What has to be done later, in a line each.
$root = Join-Path ([Environment]::GetFolderPath('CommonApplicationData')) 'outagekit-kept'
$kept = Join-Path $root $OK.run
if (Test-Path -LiteralPath $kept) { "copies of the faulty files are in ${kept}: delete that folder once nobody needs them" }
'rotate every BitLocker recovery key that was read out during the repair'
