package api

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"aegis/internal/version"
)

// base is the path of every route.
const base = "/" + version.API

// server registers the routes and turns their errors into problems.
type server struct {
	Services
	api huma.API
}

// Handler serves the API. It is ready for an http.Server without read or write
// time-outs, which would cut streams; ReadHeaderTimeout is welcome.
func Handler(s Services) http.Handler {
	if s.Log == nil {
		s.Log = slog.Default()
	}
	setup()
	mux := http.NewServeMux()
	config := huma.DefaultConfig("Aegis", version.Version)
	config.Info.Description = "The API of aegisd. Errors are problems (RFC 9457) with a stable code."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", "", nil
	config.RejectUnknownQueryParameters = true
	srv := &server{Services: s, api: humago.New(mux, config)}
	srv.instances()
	srv.lifecycle()
	srv.leases()
	srv.prune()
	srv.events()
	srv.processes()
	srv.copies()
	srv.logs()
	srv.secrets()
	srv.images()
	srv.daemon()
	srv.system()
	if s.Metrics != nil {
		mux.Handle("GET /metrics", s.Metrics)
	}
	mux.Handle("GET "+base+"/openapi.json", srv.document())
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { writeNothing(w, r, methods(mux, r)) })
	return guardPanics(s.Log, guardVersion(mux))
}

// operation describes one route. The time-out of bodies is off: it would end the
// context of a call that lasts longer.
func operation(id, method, path, summary string, status int) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: base + path, Summary: summary,
		DefaultStatus: status, BodyReadTimeout: -1,
	}
}

// Target is the input of a route about one instance. It is exported for the HTTP
// library, which fills no field of an unexported type.
type Target struct {
	Ref string `path:"ref" doc:"name, ID, or the beginning of an ID that only one has"`
}

// body is an answer in JSON.
type body[T any] struct{ Body T }

// answer registers a handler whose result is the answer's body.
func answer[I, T any](s *server, op huma.Operation, f func(context.Context, *I) (T, error)) {
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*body[T], error) {
		out, err := f(ctx, in)
		if err != nil {
			return nil, s.failed(op.OperationID, err)
		}
		return &body[T]{out}, nil
	})
}

// act registers a handler whose answer has no body.
func act[I any](s *server, op huma.Operation, f func(context.Context, *I) error) {
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*struct{}, error) {
		if err := f(ctx, in); err != nil {
			return nil, s.failed(op.OperationID, err)
		}
		return nil, nil
	})
}

// raw registers a handler that writes its answer itself. Until it has written
// something it may return an error, which is answered as a problem.
func raw[I any](s *server, op huma.Operation, f func(http.ResponseWriter, *http.Request, *I) error) {
	huma.Register(s.api, op, func(_ context.Context, in *I) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			r, w := humago.Unwrap(ctx)
			if err := f(w, r, in); err != nil {
				writeFault(w, s.failed(op.OperationID, err))
			}
		}}, nil
	})
}
