// The code of guest-sdk/GO.md builds, and its test passes.

package tidetest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheDocumentSaysWhatWorks(t *testing.T) {
	document, err := os.ReadFile("../../GO.md")
	if err != nil {
		t.Skip("guest-sdk/GO.md is not beside this copy of the SDK")
	}
	sdk, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, part := range strings.Split(string(document), "```go\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		blocks = append(blocks, block)
	}
	if len(blocks) != 3 {
		t.Fatalf("%d blocks", len(blocks))
	}
	imports := func(names ...string) string {
		return "package main\n\nimport (\n\t\"" + strings.Join(names, "\"\n\t\"") + "\"\n)\n\n"
	}
	for name, files := range map[string]map[string]string{
		"processor":  {"main.go": blocks[0], "main_test.go": imports("testing", "tidemill/tidetest") + blocks[1]},
		"aggregator": {"main.go": imports("strconv", "tidemill/aggregate") + blocks[2] + "\nfunc main() {}\n"},
	} {
		folder := t.TempDir()
		files["go.mod"] = "module document\n\ngo 1.24\n\nrequire tidemill v0.0.0\n\nreplace tidemill => " + sdk + "\n"
		for file, text := range files {
			if err := os.WriteFile(filepath.Join(folder, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		command := exec.Command("go", "test", ".")
		command.Dir = folder
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
