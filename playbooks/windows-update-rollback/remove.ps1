# DISM, not the update installer: that one refuses to work quietly, and cannot take a combined update.
& (Join-Path $env:WINDIR 'System32\dism.exe') /english /online /remove-package "/packagename:$($OK.package)" /norestart /quiet
$code = $LASTEXITCODE
if ($code -eq 0x800f0825) { [Console]::Error.WriteLine('the package is permanent: it cannot be removed') }
exit $code
