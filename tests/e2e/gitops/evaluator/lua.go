package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// As long as Argo CD lets a script run.
const patience = time.Second

// evaluate runs a script as Argo CD does: the object is the global `obj`, numbers are floats, and of
// the libraries there are only those that cannot do harm; string and math are not among them.
func evaluate(script string, given []byte) (any, error) {
	text, err := os.ReadFile(script)
	if err != nil {
		return nil, err
	}
	var object any
	if err := json.Unmarshal(given, &object); err != nil {
		return nil, err
	}
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage, lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable,
	} {
		err := state.CallByParam(
			lua.P{Fn: state.NewFunction(open), NRet: 0, Protect: true}, lua.LString(name))
		if err != nil {
			return nil, err
		}
	}
	openSafeOS(state)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", toLua(state, object))
	if err := state.DoString(string(text)); err != nil {
		return nil, err
	}
	if state.GetTop() != 1 {
		return nil, fmt.Errorf("%s returned %d values, not one", script, state.GetTop())
	}
	return fromLua(state.Get(1)), nil
}

// Of `os` there are only the clocks; of these we need one.
func openSafeOS(state *lua.LState) {
	state.RegisterModule(lua.OsLibName, map[string]lua.LGFunction{"time": func(inner *lua.LState) int {
		inner.Push(lua.LNumber(time.Now().Unix()))
		return 1
	}})
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, item := range value {
			table.Append(toLua(state, item))
		}
		return table
	case string:
		return lua.LString(value)
	case float64:
		return lua.LNumber(value)
	case bool:
		return lua.LBool(value)
	}
	return lua.LNil
}

// fromLua reads a table with the keys 1 to n as a list, as Argo CD does.
func fromLua(value lua.LValue) any {
	switch value := value.(type) {
	case *lua.LTable:
		if size := value.MaxN(); size > 0 {
			list := make([]any, 0, size)
			for place := 1; place <= size; place++ {
				list = append(list, fromLua(value.RawGetInt(place)))
			}
			return list
		}
		object := map[string]any{}
		value.ForEach(func(key, item lua.LValue) { object[key.String()] = fromLua(item) })
		return object
	case lua.LString:
		return string(value)
	case lua.LNumber:
		return float64(value)
	case lua.LBool:
		return bool(value)
	}
	return nil
}
