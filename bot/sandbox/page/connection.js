/** Whether the app can be reached: over a socket, or at its request URL while its process runs. */
export function isConnected(state) {
  return state.mode === "http" ? state.server.state === "running" : state.connections > 0;
}
