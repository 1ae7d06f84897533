module meshlift.dev/sandbox/app

go 1.26.0
