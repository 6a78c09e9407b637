Move-Item back
