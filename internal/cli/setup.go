package cli

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"aegis/client"
	"aegis/internal/instance"
)

func (a *app) setupCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "setup", Short: "Make what a first start needs and is missing", Args: a.none,
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, _ []string) error {
			platform, err := checkPlatform(a.platform)
			if err != nil {
				return err
			}
			c, err := a.connect(ctx)
			if err != nil {
				return err
			}
			if err := a.setUp(ctx, c, client.SetupFor{Platform: platform}); err != nil {
				return err
			}
			a.note("ready")
			return nil
		})}
	platformFlag(cmd, &a.platform)
	return cmd
}

// checkPlatform checks a --platform of guests; without one it is left to the daemon.
func checkPlatform(given string) (string, error) {
	if given == "" {
		return "", nil
	}
	return instance.ParsePlatform(given)
}

// steps is told of a setup's steps. Where standard error is a terminal, the step that
// goes on is drawn on its last line, and each stays there with what it came to;
// elsewhere all that is told is a line.
func (a *app) steps() (tell func(client.Progress), end func()) {
	if !a.live() {
		return func(p client.Progress) { a.note("%s", stepLine(p, 0, 0)) }, func() {}
	}
	s := &steps{since: time.Now()}
	s.display = a.display(s.line)
	return s.tell, s.end
}

// steps are those of a setup that is displayed.
type steps struct {
	display *display
	mu      sync.Mutex
	last    client.Progress
	since   time.Time // of its step
}

func (s *steps) tell(p client.Progress) {
	s.mu.Lock()
	was := s.last
	if s.last = p; was.Step != p.Step {
		s.since = time.Now()
	}
	s.mu.Unlock()
	if was.Step != p.Step {
		s.stay(was)
	}
}

// stay leaves a step's line behind.
func (s *steps) stay(p client.Progress) {
	if p.Step != "" {
		s.display.say(stepLine(client.Progress{Step: p.Step, Message: p.Message}, 0, 0))
	}
}

func (s *steps) end() {
	s.display.stop()
	s.stay(s.last)
}

func (s *steps) line(_ time.Duration, width int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return stepLine(s.last, time.Since(s.since).Truncate(time.Second), width)
}

// stepLine writes one, with a bar where there is room and a total, or with its time.
func stepLine(p client.Progress, elapsed time.Duration, width int) string {
	text := cmp.Or(p.Step, "setup")
	if p.Message != "" {
		text += ": " + p.Message
	}
	text = clean(text)
	switch {
	case p.Total > 0 && width > 0:
		return bar(text, p.Done, p.Total, width)
	case p.Total > 0:
		return fmt.Sprintf("%s (%d%%)", text, 100*p.Done/p.Total)
	case elapsed > 0:
		return fmt.Sprintf("%s (%s)", text, elapsed)
	}
	return text
}
