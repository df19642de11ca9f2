package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// deliver keeps at-least-once: a key counts as seen, and an offset is
// committed, only after the engine has answered 200 for the batch.
func deliver(ctx context.Context) error {
	ids, err := tenants(ctx)
	if err != nil {
		return err
	}
	names := map[string]string{}
	for i, id := range ids {
		names[id] = fmt.Sprintf("tenant-%03d", i)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll())
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance()
	seen := map[string]struct{}{}
	for {
		fetches := cl.PollRecords(ctx, 500)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		recs := fetches.Records()
		var body bytes.Buffer
		fresh := map[string]struct{}{}
		body.WriteString(`{"items":[`)
		for _, r := range recs {
			key := string(r.Key)
			_, old := seen[key]
			_, twice := fresh[key]
			if old || twice {
				continue
			}
			var head struct {
				ID       string `json:"id"`
				TenantID string `json:"tenantId"`
			}
			if err := json.Unmarshal(r.Value, &head); err != nil {
				return err
			}
			if len(fresh) > 0 {
				body.WriteByte(',')
			}
			fmt.Fprintf(&body, `{"id":%q,"tenantName":%q,"alert":`, head.ID, names[head.TenantID])
			body.Write(r.Value)
			body.WriteByte('}')
			fresh[key] = struct{}{}
		}
		body.WriteString("]}")
		if len(fresh) > 0 {
			if err := post(ctx, &body); err != nil {
				return err
			}
			for k := range fresh {
				seen[k] = struct{}{}
			}
		}
		if err := cl.CommitRecords(ctx, recs...); err != nil {
			return err
		}
		cl.AllowRebalance()
	}
}

func post(ctx context.Context, body *bytes.Buffer) error {
	payload := body.String()
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		req, err := http.NewRequestWithContext(ctx, "POST", engine+"/v1/alerts:batch", strings.NewReader(payload))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.StatusCode == 200 {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}
