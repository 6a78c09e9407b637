Get-Item y
