package store

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// fill gives every field below v a value of its own, so that one which is not
// saved, or is saved as another, shows. Its times are not in UTC.
func fill(t *testing.T, v reflect.Value, n *int) {
	t.Helper()
	*n++
	if v.Type() == reflect.TypeFor[time.Time]() {
		zone := time.FixedZone("", 2*60*60)
		v.Set(reflect.ValueOf(time.Date(2026, 3, 4, 5, 6, *n%60, 123456789, zone)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				t.Fatalf("%s.%s can't be saved", v.Type(), v.Type().Field(i).Name)
			}
			fill(t, v.Field(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), n)
		fill(t, v.Index(1), n)
	case reflect.Map:
		key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key, n)
		fill(t, elem, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, elem)
	case reflect.String:
		v.SetString(fmt.Sprintf("v%d", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint16:
		v.SetUint(uint64(*n))
	case reflect.Bool:
		v.SetBool(true)
	default:
		t.Fatalf("teach this test the kind %s", v.Kind())
	}
}

// sameInstant compares records whose times may be in different zones.
func sameInstant(a, b reflect.Value) bool {
	if a.Type() == reflect.TypeFor[time.Time]() {
		return a.Interface().(time.Time).Equal(b.Interface().(time.Time))
	}
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			if !sameInstant(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Pointer:
		return a.IsNil() == b.IsNil() && (a.IsNil() || sameInstant(a.Elem(), b.Elem()))
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !sameInstant(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func TestEveryFieldIsSaved(t *testing.T) {
	s := open(t)
	var r Record
	n := 0
	fill(t, reflect.ValueOf(&r).Elem(), &n)
	valid := record(1)
	r.ID, r.State = valid.ID, valid.State
	put(t, s, r)
	got, err := s.Get(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	for i := range reflect.TypeFor[Record]().NumField() {
		if want, have := reflect.ValueOf(r).Field(i), reflect.ValueOf(got).Field(i); !sameInstant(want, have) {
			t.Errorf("%s: saved %+v, read %+v", reflect.TypeFor[Record]().Field(i).Name, want, have)
		}
	}
	var body string
	if err := s.db.QueryRow(`SELECT body FROM instances`).Scan(&body); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(body, "+02:00") {
		t.Errorf("a time is saved in a local zone: %s", body)
	}
	if _, offset := r.Exit.At.Zone(); offset == 0 {
		t.Error("Put changed its caller's record")
	}
}

func TestKeepsNewestWakes(t *testing.T) {
	s := open(t)
	r := record(1)
	for i := range MaxWakes + 5 {
		before := r
		r.AddWake(Wake{Took: time.Duration(i)})
		if i > 0 && before.Wakes[0].Took != time.Duration(i-1) {
			t.Fatal("AddWake changed a copy of the record")
		}
	}
	r.Wakes = append(r.Wakes, Wake{Took: -1})
	put(t, s, r)
	got, err := s.Get(t.Context(), r.ID)
	if err != nil || len(got.Wakes) != MaxWakes || got.Wakes[0].Took != MaxWakes+4 || got.Wakes[MaxWakes-1].Took != 5 {
		t.Fatalf("%d wakes, %v, %v", len(got.Wakes), got.Wakes, err)
	}
}
