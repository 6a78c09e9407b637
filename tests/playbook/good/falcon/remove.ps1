Move-Item $OK.newest
