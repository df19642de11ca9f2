package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

func getJSON(ctx context.Context, link, token string, v any) error {
	req, err := http.NewRequestWithContext(ctx, "GET", link, nil)
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != 200 {
		return fmt.Errorf("GET %s: %s", link, res.Status)
	}
	return json.Unmarshal(body, v)
}

// tenants is read once at the start (in production: a file or a service).
func tenants(ctx context.Context) (ids []string, err error) {
	err = getJSON(ctx, graph+"/tenants", "", &ids)
	return ids, err
}

func token(ctx context.Context, tenant string) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"bench"}, "client_secret": {"bench"},
		"scope": {"https://graph.microsoft.com/.default"}}
	req, err := http.NewRequestWithContext(ctx, "POST", graph+"/"+tenant+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var t struct {
		AccessToken string `json:"access_token"`
	}
	return t.AccessToken, json.NewDecoder(res.Body).Decode(&t)
}

func firstLink() string {
	now := time.Now().UTC()
	const stamp = "2006-01-02T15:04:05.0000000Z"
	return graph + "/v1.0/security/alerts_v2?" + url.Values{"$top": {"500"}, "$filter": {
		"lastUpdateDateTime ge " + now.Add(-24*time.Hour).Format(stamp) + " and lastUpdateDateTime lt " + now.Add(24*time.Hour).Format(stamp)}}.Encode()
}

// forEachTenant runs do for all tenants, four at a time.
func forEachTenant(ctx context.Context, do func(tenant, token string) error) error {
	ids, err := tenants(ctx)
	if err != nil {
		return err
	}
	work := make(chan string)
	fails := make(chan error, len(ids))
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for id := range work {
				tok, err := token(ctx, id)
				if err == nil {
					err = do(id, tok)
				}
				if err != nil {
					fails <- fmt.Errorf("tenant %s: %w", id, err)
				}
			}
		}()
	}
	for _, id := range ids {
		work <- id
	}
	close(work)
	wg.Wait()
	close(fails)
	return <-fails
}

func pollAlerts(ctx context.Context, each func(tenant, id string, alert []byte)) error {
	return forEachTenant(ctx, func(tenant, tok string) error {
		for link := firstLink(); link != ""; {
			var page struct {
				Value []json.RawMessage `json:"value"`
				Next  string            `json:"@odata.nextLink"`
			}
			if err := getJSON(ctx, link, tok, &page); err != nil {
				return err
			}
			for _, a := range page.Value {
				var head struct {
					ID string `json:"id"`
				}
				if err := json.Unmarshal(a, &head); err != nil {
					return err
				}
				each(tenant, head.ID, a)
			}
			link = page.Next
		}
		return nil
	})
}
