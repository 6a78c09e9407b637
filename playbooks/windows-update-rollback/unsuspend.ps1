# Has BitLocker protect the drive again, now.
& (Join-Path $env:WINDIR 'System32\manage-bde.exe') -protectors -enable $env:SystemDrive
if ($LASTEXITCODE -ne 0) { throw "BitLocker could not be resumed: exit code $LASTEXITCODE" }
