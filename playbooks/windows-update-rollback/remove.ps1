# DISM, not the update installer: that one refuses to work quietly, and cannot take a combined update.
& (Join-Path $env:WINDIR 'System32\dism.exe') /english /online /remove-package "/packagename:$($OK.package)" /norestart /quiet
$code = $LASTEXITCODE
if ($code -eq 0x800f0825) { [Console]::Error.WriteLine('the package is permanent: it cannot be removed') }
elseif (@(0, 3010) -notcontains $code) { [Console]::Error.WriteLine("dism has removed nothing: see Logs\DISM\dism.log in $env:WINDIR") }
exit $code
