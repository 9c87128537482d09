import { createHealthHandler } from '@evenkeel/core'
import { evenkeel } from '../../../lib/evenkeel'

export const runtime = 'nodejs'
export const dynamic = 'force-dynamic'

/** 200 while Redis is used, 503 while memory answers; 200 without a Redis. */
export async function GET(request: Request): Promise<Response> {
  const { redis } = await evenkeel
  if (redis === undefined) return Response.json({ status: 'healthy' })
  return createHealthHandler(redis)(new Request(new URL('/health', request.url)))
}
