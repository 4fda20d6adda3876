// A typed fetch over the paths of the OpenAPI document: `get("/api/clips/{clip}", { path: { clip } })`. Every failure is
// an ApiError with a sentence for people: the server's own, or that it cannot be reached.
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
type Method = "get" | "post" | "put" | "delete";
type PathWith<M extends Method> = { [P in keyof paths]: paths[P][M] extends object ? P : never }[keyof paths];
type Operation<M extends Method, P extends PathWith<M>> = paths[P][M];
type Json<R> = R extends { content: { "application/json": infer T } } ? T : undefined;
type Answer<O> = O extends { responses: { 200: infer R } }
  ? Json<R>
  : O extends { responses: { 201: infer R } }
    ? Json<R>
    : undefined;
type Parameters<O> = O extends { parameters: infer A }
  ? (A extends { path: infer T } ? { path: T } : { path?: undefined }) &
      (A extends { query: infer T } ? { query: T } : A extends { query?: infer T } ? { query?: T } : unknown)
  : { path?: undefined; query?: undefined };
type Body<O> = O extends { requestBody: { content: { "application/json": infer T } } } ? { body: T } : unknown;
type Options<M extends Method, P extends PathWith<M>> = Parameters<Operation<M, P>> &
  Body<Operation<M, P>> & { signal?: AbortSignal };

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number, // 0: the server was not reached
  ) {
    super(message);
  }
}

type Values = Record<string, unknown>;

/** The address of a path of the API, for what the browser itself fetches: sounds, downloads. */
export function address<P extends PathWith<"get">>(template: P, options: Parameters<Operation<"get", P>>): string {
  const { path = {}, query = {} } = options as { path?: Values; query?: Values };
  const filled = template.replace(/\{(\w+)\}/g, (_, key: string) => encodeURIComponent(String(path[key])));
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query))
    for (const one of Array.isArray(value) ? (value as unknown[]) : [value])
      if (one !== undefined && one !== null) search.append(key, String(one));
  return search.size ? `${filled}?${search}` : filled;
}

export async function request(url: string, init: RequestInit = {}): Promise<Response> {
  const response = await fetch(url, init).catch((error: unknown) => {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer. Is `freud serve` still running?", 0);
  });
  if (response.ok) return response;
  const problem = (await response.json().catch(() => ({}))) as { detail?: unknown };
  const detail = typeof problem.detail === "string" ? problem.detail : `The server answered with ${response.status}.`;
  throw new ApiError(detail, response.status);
}

async function call(method: Method, template: string, options: Values): Promise<unknown> {
  const { body, signal } = options as { body?: unknown; signal?: AbortSignal };
  const init: RequestInit = { method: method.toUpperCase(), signal: signal ?? null };
  if (body !== undefined) {
    init.headers = { "content-type": "application/json" };
    init.body = JSON.stringify(body);
  }
  const response = await request(address(template as never, options as never), init);
  return response.status === 204 ? undefined : response.json();
}

export const get = <P extends PathWith<"get">>(path: P, options: Options<"get", P>) =>
  call("get", path, options) as Promise<Answer<Operation<"get", P>>>;
export const post = <P extends PathWith<"post">>(path: P, options: Options<"post", P>) =>
  call("post", path, options) as Promise<Answer<Operation<"post", P>>>;
export const put = <P extends PathWith<"put">>(path: P, options: Options<"put", P>) =>
  call("put", path, options) as Promise<Answer<Operation<"put", P>>>;
export const remove = <P extends PathWith<"delete">>(path: P, options: Options<"delete", P>) =>
  call("delete", path, options) as Promise<Answer<Operation<"delete", P>>>;

export const aborted = (error: unknown): boolean => error instanceof DOMException && error.name === "AbortError";

/** Numbers sent as base64 of little-endian float32. */
export function decodeValues(text: string): Float32Array {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}
