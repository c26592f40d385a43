package internal_test

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// TestPackageComment holds that each package says what it is.
func TestPackageComment(t *testing.T) {
	files := map[string]source{}
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		files[s.dir] = s
		doc := s.file.Doc.Text()
		want := "Package " + s.file.Name.Name + " "
		if s.file.Name.Name == "main" {
			want = "Command " + s.dir[strings.LastIndex(s.dir, "/")+1:] + " "
		}
		if strings.HasPrefix(doc, want) {
			documented[s.dir] = true
		}
	}
	for dir, s := range files {
		if !documented[dir] {
			t.Errorf("%s: package %s has no comment that begins with its name", dir, s.file.Name.Name)
		}
	}
}

// TestExportedDocs holds that each exported name is explained where it is declared.
// A method of an unexported type, and one with a name that an interface of the
// standard library gives a meaning, needs no words.
func TestExportedDocs(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.file.Name.Name == "main" {
			continue
		}
		for _, decl := range s.file.Decls {
			for _, id := range undocumented(decl) {
				t.Errorf("%s:%d: %s is exported and has no comment", s.path, s.line(id.Pos()), id.Name)
			}
		}
	}
}

// known are methods whose meaning the standard library fixes.
var known = map[string]bool{"Error": true, "Unwrap": true, "String": true, "Read": true, "Write": true, "Close": true, "ServeHTTP": true,
	"Len": true, "Less": true, "Swap": true, "Is": true}

// undocumented lists the exported names of a declaration that have no comment of
// their own. In a group of constants or variables the group's comment will do.
func undocumented(decl ast.Decl) []*ast.Ident {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && (d.Recv == nil || receiverExported(d) && !known[d.Name.Name]) {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		if d.Doc != nil && (d.Tok != token.TYPE || !d.Lparen.IsValid()) {
			return nil
		}
		var out []*ast.Ident
		for _, spec := range d.Specs {
			out = append(out, bare(spec)...)
		}
		return out
	}
	return nil
}

// bare lists the exported names of a line of a group that has no comment.
func bare(spec ast.Spec) (out []*ast.Ident) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Doc == nil && s.Name.IsExported() {
			out = append(out, s.Name)
		}
	case *ast.ValueSpec:
		if s.Doc == nil && s.Comment == nil {
			for _, name := range s.Names {
				if name.IsExported() {
					out = append(out, name)
				}
			}
		}
	}
	return out
}

// receiverExported reports whether a method belongs to an exported type.
func receiverExported(d *ast.FuncDecl) bool {
	expr := d.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.Ident:
			return e.IsExported()
		default:
			return false
		}
	}
}
