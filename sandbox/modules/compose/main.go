// Command compose checks Compose files against the Compose schema and the loader's consistency rules, without Docker.
// Usage: go run . <docker-compose.yml>...
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: compose <docker-compose.yml>...")
		os.Exit(2)
	}
	failed := false
	for _, path := range os.Args[1:] {
		services, err := check(path)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			failed = true
			continue
		}
		fmt.Printf("%s: valid, services %v\n", path, services)
	}
	if failed {
		os.Exit(1)
	}
}

// check loads one file the way `docker compose config` does and names its services.
func check(path string) ([]string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	project, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  filepath.Dir(absolute),
		ConfigFiles: []types.ConfigFile{{Filename: absolute}},
		Environment: types.NewMapping(os.Environ()),
	}, func(options *loader.Options) { options.SetProjectName("meshlift", true) })
	if err != nil {
		return nil, err
	}
	return project.ServiceNames(), nil
}
