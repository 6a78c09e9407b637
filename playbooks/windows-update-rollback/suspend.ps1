# For one restart only: BitLocker comes back by itself.
& (Join-Path $env:WINDIR 'System32\manage-bde.exe') -protectors -disable $env:SystemDrive -RebootCount 1
if ($LASTEXITCODE -ne 0) { throw "BitLocker could not be suspended: exit code $LASTEXITCODE" }
